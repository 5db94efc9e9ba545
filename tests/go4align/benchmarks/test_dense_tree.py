"""Published trees of .npy files: read right, or refused in one line; whole or absent whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trees import SIZE, sample, write_tree

from go4align import UserError
from go4align.benchmarks.cityscapes.source import CityScapesSource
from go4align.benchmarks.data import DataSource
from go4align.benchmarks.nyuv2.source import NYUv2Source
from go4align.benchmarks.prepared import find_prepared

pytestmark = pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def convert(source: DataSource, root: Path) -> Any:
    return source.prepare(root, (), ())[0].arrays


@pytest.mark.usefixtures("home")
def test_every_sample_is_stored_in_the_order_of_its_number(tmp_path: Path) -> None:
    arrays = convert(NYUv2Source(), write_tree(tmp_path / "tree"))
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items() if name.startswith("train")} == {
        "train_image": ((12, *SIZE, 3), "uint8"),
        "train_label": ((12, *SIZE), "int8"),
        "train_depth": ((12, *SIZE), "float16"),
        "train_normal": ((12, *SIZE, 3), "float16"),
    }
    for split, count, first in (("train", 12, 0), ("test", 3, 100)):
        for number in range(count):  # 2 comes before 10
            expected = sample(first + number)
            np.testing.assert_allclose(arrays[f"{split}_image"][number] / 255, expected["image"], atol=0.5 / 255 + 1e-6)
            np.testing.assert_array_equal(arrays[f"{split}_label"][number], expected["label"])
            np.testing.assert_allclose(arrays[f"{split}_depth"][number], expected["depth"][..., 0], rtol=1e-3)
            np.testing.assert_allclose(arrays[f"{split}_normal"][number], expected["normal"], atol=1e-3)


@pytest.mark.usefixtures("home")
def test_inverse_depth_is_stored_as_the_number_that_it_came_from(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    raw = {}
    for path in sorted(root.glob("*/depth/*.npy")):
        raw[path] = np.random.default_rng(len(raw)).integers(0, 32258, SIZE)
        np.save(path, (raw[path] / 65535).astype(np.float32)[..., None])
    for path in root.glob("*/label/*.npy"):
        np.save(path, np.load(path) % 7)
    for split in ("train", "val"):
        (root / split / "label").rename(root / split / "label_7")
    arrays = convert(CityScapesSource(), root)
    assert arrays["train_depth"].dtype == np.uint16
    np.testing.assert_array_equal(arrays["train_depth"][3], raw[root / "train" / "depth" / "3.npy"])
    assert "train_normal" not in arrays


def put(path: Path, change: Callable[[np.ndarray[Any, Any]], Any]) -> None:
    np.save(path, change(np.load(path)))


def with_value(value: float, place: tuple[int, ...] = (2, 3)) -> Callable[[np.ndarray[Any, Any]], Any]:
    def change(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        found = array.astype(np.float32)
        found[place] = value
        return found

    return change


SPOILT = {
    "another root": (
        lambda root: (root / "train").rename(root / "trains"),
        "must hold the folders train and val, found",
    ),
    "no label folder": (
        lambda root: (root / "val" / "label").rename(root / "val" / "lab"),
        "val must hold a folder label",
    ),
    "half a tree": (lambda root: (root / "train" / "depth" / "5.npy").unlink(), "1 without depth, for one 5.npy"),
    "one too many": (
        lambda root: np.save(root / "val" / "image" / "3.npy", np.zeros((*SIZE, 3))),
        "without label.*3.npy",
    ),
    "empty": (
        lambda root: [path.unlink() for path in root.glob("val/*/*.npy")],
        "val must hold .npy files, found none",
    ),
    "not a number": (
        lambda root: np.save(root / "train" / "image" / "a.npy", np.zeros(3)),
        "named by numbers.*found a.npy",
    ),
    "twice": (
        lambda root: [np.save(path.with_name("01.npy"), np.load(path)) for path in root.glob("train/*/1.npy")],
        "each number once, found",
    ),
    "truncated": (
        lambda root: (root / "train" / "image" / "4.npy").write_bytes((root / "train/image/4.npy").read_bytes()[:200]),
        "image/4.npy cannot be read: .* Fetch it again",
    ),
    "no array": (lambda root: (root / "train" / "image" / "4.npy").write_text("hello"), "4.npy cannot be read"),
    "objects": (
        lambda root: np.save(root / "train/image/4.npy", np.array([{}]), allow_pickle=True),
        "4.npy cannot be read: Object arrays",
    ),
    "texts": (
        lambda root: np.save(root / "train/image/4.npy", np.array(["a"])),
        "must hold an array of numbers, found <U1",
    ),
    "mixed sizes": (
        lambda root: [np.save(path, np.load(path)[:4]) for path in root.glob("train/*/7.npy")],
        "one size, 6 x 8 as the first, found 4 x 8",
    ),
    "channels first": (
        lambda root: put(root / "train/image/2.npy", lambda image: image.transpose(2, 0, 1)),
        "must be H x W x 3, found 3 x 6 x 8. Move the channels to the end",
    ),
    "bright": (lambda root: put(root / "train/image/2.npy", lambda image: image * 255), r"must lie in \[0, 1\].*found"),
    "NaN image": (lambda root: put(root / "train/image/2.npy", with_value(np.nan)), "must be finite, found"),
    "label out of range": (
        lambda root: put(root / "val/label/2.npy", with_value(13)),
        "must be 0 to 12, or -1.*found 13",
    ),
    "label of void 255": (lambda root: put(root / "val/label/2.npy", with_value(255)), "found 255. Map them"),
    "half a label": (lambda root: put(root / "val/label/2.npy", with_value(2.5)), "must be whole numbers, found 2.5"),
    "NaN depth": (lambda root: put(root / "train/depth/2.npy", with_value(np.nan)), "finite, found 1 that.*by 0"),
    "endless depth": (lambda root: put(root / "train/depth/2.npy", with_value(np.inf)), "must be finite"),
    "negative depth": (lambda root: put(root / "train/depth/2.npy", with_value(-1)), "in metres, 0 to 100.*found -1"),
    "millimetres": (lambda root: put(root / "train/depth/2.npy", lambda depth: depth * 1000), "Divide millimetres"),
    "flat depth": (
        lambda root: put(root / "train/depth/2.npy", lambda depth: depth.ravel()),
        "H x W or H x W x 1, found 48",
    ),
    "long normals": (
        lambda root: put(root / "train/normal/2.npy", lambda normal: normal * 2),
        "of length 1, or 0.*found 2",
    ),
    "NaN normals": (lambda root: put(root / "train/normal/2.npy", with_value(np.nan)), "must be finite"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_cannot_be_right_is_one_line_and_nothing_is_prepared(fault: str, tmp_path: Path, home: Path) -> None:
    root = write_tree(tmp_path / "tree")
    spoil, message = SPOILT[fault]
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        convert(NYUv2Source(), root)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
    assert not (home / "data" / "nyuv2").exists()
    assert not list((home / "data").glob(".*partial"))


@pytest.mark.usefixtures("home")
def test_masks_without_a_valid_pixel_flat_depth_and_bytes_are_read(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    put(root / "train/normal/1.npy", np.zeros_like)
    put(root / "train/label/1.npy", lambda label: np.full_like(label, -1))
    put(root / "train/depth/1.npy", lambda depth: np.zeros_like(depth[..., 0]))
    put(root / "train/image/1.npy", lambda image: np.full(image.shape, 200, np.uint8))
    arrays = convert(NYUv2Source(), root)
    assert (arrays["train_label"][1] == -1).all()
    assert not arrays["train_depth"][1].any() and not arrays["train_normal"][1].any()
    assert (arrays["train_image"][1] == 200).all()


@pytest.mark.parametrize("near", ["above", "below"])
def test_a_root_one_level_off_is_told_the_right_one(near: str, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "outer" / "tree")
    wrong = root.parent if near == "above" else root / "train"
    with pytest.raises(UserError, match=f"Try --root {root}$"):
        NYUv2Source().from_root(wrong)


COMMAND = (
    "import sys; from pathlib import Path; from go4align.benchmarks.nyuv2.source import NYUv2Source; "
    "NYUv2Source().prepare(Path(sys.argv[1]), (), ())"
)


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(root)], stderr=subprocess.PIPE, text=True, env=os.environ
    )


def test_two_processes_convert_once_and_a_killed_one_leaves_nothing_that_counts(tmp_path: Path, home: Path) -> None:
    root = write_tree(tmp_path / "tree", train=400)
    killed = start(root)
    deadline = time.monotonic() + 60
    while not list((home / "data").glob(".nyuv2.*.partial/train_image.npy")) and time.monotonic() < deadline:
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert list((home / "data").glob(".nyuv2.*.partial")), "the conversion was over before it could be killed"
    source = NYUv2Source()
    assert find_prepared(source.folder, source.version) is None
    both = [start(root), start(root)]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum("converting" in text for text in told) == 1
    assert source.open().arrays["train_label"].shape == (400, *SIZE)
    assert {path.name for path in (home / "data").iterdir()} == {"nyuv2", "nyuv2.lock"}


def test_no_data_is_one_line_with_how_to_get_them(home: Path) -> None:
    with pytest.raises(
        UserError, match=f"The data of 'nyuv2' are not on this machine .{home}/data/nyuv2.. Get .*study data"
    ):
        NYUv2Source().open()
