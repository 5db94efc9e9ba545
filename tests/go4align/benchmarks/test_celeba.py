"""CelebA from its official files, with all their quirks, or refused in one line; and generated figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here
from PIL import Image
from sklearn.metrics import f1_score

from go4align import UserError
from go4align.benchmarks.celeba.attributes import PUBLISHED_F1
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.celeba.figures import ATTRIBUTES, figures
from go4align.benchmarks.celeba.source import CelebASource

SPLITS = {"train": 6, "val": 3, "test": 2}


def write(root: Path, *, line_end: str = "\n", last: str = "\n") -> np.ndarray[Any, Any]:
    """A few pictures in the official layout; returns their attributes, 0 and 1."""
    random = np.random.default_rng(0)
    values = random.integers(0, 2, (11, 40))
    for folder in ("Anno", "Eval", "Img/img_align_celeba"):
        (root / folder).mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, 12)]
    rows = ["11", " ".join(PUBLISHED_F1) + " "]  # with a space at its end, as the official file
    for name, row in zip(names, values, strict=True):
        rows.append(name + "".join(f" {value:2d}" for value in np.where(row, 1, -1)))
        pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((178, 218)).save(root / "Img/img_align_celeba" / name, quality=95)
    (root / "Anno/list_attr_celeba.txt").write_bytes((line_end.join(rows) + last).encode())
    numbers = [number for number, count in enumerate(SPLITS.values()) for _ in range(count)]
    listed = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
    (root / "Eval/list_eval_partition.txt").write_bytes((line_end.join(listed) + last).encode())
    return values


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("line_end", "last"), [("\n", "\n"), ("\r\n", "\r\n"), ("\n", ""), ("\r\n", "")])
def test_official_files_are_read_whatever_their_line_ends(tmp_path: Path, line_end: str, last: str) -> None:
    values = write(tmp_path / "celeba", line_end=line_end, last=last)
    arrays = CelebASource().prepare(tmp_path / "celeba", (), ())[0].arrays
    found = np.concatenate([arrays[f"{split}_attributes"] for split in SPLITS])
    np.testing.assert_array_equal(found, values)
    assert [len(arrays[f"{split}_image"]) for split in SPLITS] == list(SPLITS.values())
    with Image.open(tmp_path / "celeba/Img/img_align_celeba/000007.jpg") as picture:
        expected = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(arrays["val_image"][0], expected)


@pytest.mark.usefixtures("home")
def test_the_flat_layout_is_read_too_and_lines_may_come_in_any_order(tmp_path: Path) -> None:
    values = write(tmp_path / "celeba")
    root = tmp_path / "flat"
    root.mkdir()
    (tmp_path / "celeba/Img/img_align_celeba").rename(root / "img_align_celeba")
    (root / "list_eval_partition.txt").write_bytes((tmp_path / "celeba/Eval/list_eval_partition.txt").read_bytes())
    _, head, *lines = (tmp_path / "celeba/Anno/list_attr_celeba.txt").read_text().splitlines()
    (root / "list_attr_celeba.txt").write_text("\n".join(["99", head, *reversed(lines)]))  # a count that lies
    arrays = CelebASource().prepare(root, (), ())[0].arrays
    np.testing.assert_array_equal(arrays["train_attributes"], values[:6])


def edit(path: str, change: Callable[[str], str]) -> Callable[[Path], Any]:
    return lambda root: (root / path).write_text(change((root / path).read_text()))


ANNO, EVAL, IMG = "Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt", "Img/img_align_celeba"
SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no attributes": (lambda root: (root / ANNO).unlink(), "must hold Anno/list_attr_celeba.txt, found none"),
    "no partition": (lambda root: (root / EVAL).unlink(), "must hold Eval/list_eval_partition.txt, found none"),
    "no pictures": (lambda root: (root / IMG).rename(root / "Img/faces"), "must hold Img/img_align_celeba with .jpg"),
    "one picture": (lambda root: (root / IMG / "000005.jpg").unlink(), "found 1 missing, for one 000005.jpg"),
    "half a picture": (
        lambda root: (root / IMG / "000005.jpg").write_bytes((root / IMG / "000005.jpg").read_bytes()[:300]),
        "000005.jpg cannot be read as a picture",
    ),
    "no picture": (lambda root: (root / IMG / "000005.jpg").write_text("hello"), "000005.jpg cannot be read as a"),
    "other names": (edit(ANNO, lambda text: text.replace("Smiling", "Laughing")), "must name CelebA's 40 attributes"),
    "a value too few": (edit(ANNO, lambda text: text[: text.rstrip().rindex(" ")]), "must have 40 values, found 39"),
    "a value of 0": (edit(ANNO, lambda text: text.replace(" -1\n", "  0\n", 1)), "must be 1 or -1, found 0 for"),
    "a line twice": (
        edit(ANNO, lambda text: text + text.splitlines()[-1]),
        "each picture once, found 000011.jpg twice",
    ),
    "no attributes of one": (
        edit(ANNO, lambda text: "\n".join(text.splitlines()[:-1])),
        "every picture needs attributes, found none for 000011.jpg",
    ),
    "another split": (edit(EVAL, lambda text: text.replace("000011.jpg 2", "000011.jpg 3")), "found '000011.jpg 3'"),
    "an empty split": (edit(EVAL, lambda text: text.replace(".jpg 2", ".jpg 1")), "found none of test"),
    "listed twice": (edit(EVAL, lambda text: text + "000001.jpg 2\n"), "each picture once, found 000001.jpg twice"),
    "bytes": (lambda root: (root / ANNO).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_cannot_be_right_is_one_line_and_nothing_is_prepared(fault: str, tmp_path: Path, home: Path) -> None:
    root = tmp_path / "celeba"
    write(root)
    spoil, message = SPOILT[fault]
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        CelebASource().prepare(root, (), ())
    assert "\n" not in str(caught.value)
    assert not (home / "data" / "celeba").exists() and not list((home / "data").glob(".*partial"))
    inspection = CelebASource().inspect(root)
    assert not inspection.usable


def test_an_inspection_of_good_files_counts_them_and_shows_some(tmp_path: Path) -> None:
    write(tmp_path / "celeba")
    found = CelebASource().inspect(tmp_path / "celeba")
    assert found.usable
    told = {finding.subject: finding.found for finding in found.findings}
    assert told["train"] == "6 pictures, published are 162,770"
    assert "6 of them read, all whole" in told["train/pictures"]
    assert len(found.samples) == 6


def test_a_root_one_level_off_is_told_the_right_one(tmp_path: Path) -> None:
    write(tmp_path / "outer" / "celeba")
    with pytest.raises(UserError, match=f"Try --root {tmp_path}/outer/celeba$"):
        CelebASource().from_root(tmp_path / "outer")


@pytest.mark.usefixtures("home")
def test_sizes_take_a_seeded_part_and_f1_is_that_of_the_pass(tmp_path: Path) -> None:
    values = write(tmp_path / "celeba")
    CelebASource().prepare(tmp_path / "celeba", (), ())
    whole, part = CelebA(network={"width": 1 / 16}), CelebA(train_size=4)
    assert (whole.size("train"), part.size("train"), part.size("test")) == (6, 4, 2)
    assert whole.data_digest == part.data_digest is not None
    assert whole.n_tasks == 40 and whole.published_stl()["Smiling/f1"] == 0.924108
    with pytest.raises(UserError, match="`train_size` of celeba may be at most 6, found 7"):
        CelebA(train_size=7).prepare()
    torch.manual_seed(0)
    model = here(whole.build_model().eval())
    accumulator = whole.accumulator()
    logits = []
    with torch.no_grad():
        for batch in map(here, whole.batches("train", 4)):
            logits.append(model(batch))
            accumulator.update(logits[-1], batch)
    predicted = (torch.cat(logits) > 0).cpu().numpy()
    expected = [f1_score(values[:6, m], predicted[:, m], zero_division=0) for m in range(40)]
    assert list(accumulator.compute().metrics.values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generated": {"sizes": 3}}, "Unknown option of `generated` 'sizes'"),
        ({"generated": {}, "train_size": 3}, "`generated` has sizes of its own, found `train_size`"),
        ({"generated": {"seed": -1}}, "`generated.seed` must be a whole number"),
        ({"network": {"depth": 3}}, "Unknown option of CelebA's `network` 'depth'"),
        ({"network": {"width": 0}}, "`network.width` must be"),
        ({"val_size": 0}, r"`val_size` must be a whole number of at least 1 or None \(all\), found 0"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CelebA(**options)


def test_figures_are_seeded_and_their_attributes_are_as_frequent_as_they_should_be() -> None:
    images, attributes = figures(600, 0)
    again = figures(600, 0)
    assert (images == again[0]).all() and (attributes == again[1]).all()
    assert not (figures(600, 1)[1] == attributes).all()
    assert images.shape == (600, 64, 64, 3) and attributes.shape == (600, len(ATTRIBUTES)) == (600, 40)
    shares = dict(zip(ATTRIBUTES, attributes.mean(0).tolist(), strict=True))
    assert all(0.01 < share < 0.7 for share in shares.values())
    assert shares["cyan"] < 0.1 and shares["red_disc"] < 0.15
    column = {name: attributes[:, number].astype(bool) for number, name in enumerate(ATTRIBUTES)}
    assert (column["red_disc"] == (column["red"] & column["disc"])).all()
    assert not (column["left"] & column["right"]).any()
    assert (column["large"] ^ column["small"]).all()


def test_attributes_are_visible() -> None:
    """Dark and bright backgrounds by a corner's brightness, the large figure's colour by its saturated pixels."""
    images, attributes = figures(300, 2)
    column = {name: attributes[:, number].astype(bool) for number, name in enumerate(ATTRIBUTES)}
    plain = ~column["with_border"] & ~column["graded_background"] & ~column["with_small_ones"]
    corners = images[:, :4, -4:].mean((1, 2, 3)) / 255  # the left may be shaded
    assert ((corners < 0.45) == column["dark_background"])[plain].mean() > 0.97
    saturation = images.max(-1).astype(int) - images.min(-1)
    chosen = plain & ~column["striped"]
    colours = [np.median(image[at], 0) for image, at in zip(images[chosen], (saturation > 90)[chosen], strict=True)]
    is_red = np.array([r > 180 and g < 110 and b < 110 for r, g, b in colours])
    assert (is_red == column["red"][chosen]).mean() > 0.97
