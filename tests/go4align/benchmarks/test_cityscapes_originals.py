"""The original CityScapes folders: both seven-class readings, disparities as they are; faults are one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from go4align import UserError
from go4align.benchmarks.cityscapes.originals import ENDINGS, label_of_id
from go4align.benchmarks.cityscapes.source import CLASSES, CityScapesSource
from tests.helpers.oracles import oracle

pytestmark = pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them")

FULL = (512, 1024)
SAMPLES = {"train": ["aachen_000000_000019", "zurich_000001_000019"], "val": ["lindau_000002_000019"]}


def pictures(seed: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    ids = random.integers(0, 34, FULL, dtype=np.uint8)
    ids[2, 2] = 255
    return {
        "leftImg8bit": random.integers(0, 256, (*FULL, 3), dtype=np.uint8),
        "gtFine": ids,
        "disparity": random.integers(0, 32258, FULL).astype(np.uint16),
    }


def path_of(root: Path, kind: str, split: str, sample: str) -> Path:
    return root / kind / split / sample.partition("_")[0] / f"{sample}{ENDINGS[kind]}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    for split, samples in SAMPLES.items():
        for sample in samples:
            for kind, pixels in pictures(len(sample)).items():
                path = path_of(tmp_path / "raw", kind, split, sample)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path, compress_level=0)
    return tmp_path / "raw"


def test_both_readings_are_the_published_ones() -> None:
    facts = oracle("dense_data_facts")["cityscapes"]
    for classes, key in (("all", "id_to_7_all_ids_of_a_category"), ("evaluated", "id_to_7_only_the_19_evaluated_ids")):
        required = {int(number): value for number, value in facts[key].items()}
        found = label_of_id(classes)
        assert {number: int(found[number]) for number in required} == required
    assert list(CLASSES) == facts["names_7"]


def test_the_readings_differ_in_what_is_not_evaluated() -> None:
    every = label_of_id("all")
    evaluated = label_of_id("evaluated")
    assert every[7:34].tolist() == [0] * 4 + [1] * 6 + [2] * 4 + [3] * 2 + [4] + [5] * 2 + [6] * 8
    assert (every[:7] == -1).all() and (every[34:255] == -1).all()
    assert np.flatnonzero(every != evaluated).tolist() == [9, 10, 14, 15, 16, 18, 29, 30, 255]
    assert (evaluated[[9, 10, 14, 15, 16, 18, 29, 30, 255]] == -1).all()


@pytest.mark.parametrize("given", ["one folder", "three folders"])
@pytest.mark.parametrize("classes", ["all", "evaluated"])
def test_every_sample_is_shrunk_to_the_nearest_pixel(root: Path, given: str, classes: str) -> None:
    raw = [root] if given == "one folder" else [root / kind for kind in ENDINGS]
    prepared, _ = CityScapesSource().prepare(None, raw, [f"classes={classes}"])
    assert f"classes={classes}" in prepared.source
    for split, name in (("train", "train"), ("val", "test")):
        for number, sample in enumerate(SAMPLES[split]):
            original = pictures(len(sample))
            rows = np.arange(128) * 4 + 2
            columns = np.arange(256) * 4 + 2
            at = np.ix_(rows, columns)
            np.testing.assert_array_equal(prepared.arrays[f"{name}_image"][number], original["leftImg8bit"][at])
            np.testing.assert_array_equal(prepared.arrays[f"{name}_depth"][number], original["disparity"][at])
            np.testing.assert_array_equal(
                prepared.arrays[f"{name}_label"][number], label_of_id(classes)[original["gtFine"][at]]
            )
    assert prepared.arrays["train_depth"].dtype == np.uint16


def first(root: Path, kind: str) -> Path:
    return path_of(root, kind, "train", SAMPLES["train"][0])


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no disparity": (lambda root: shutil.rmtree(root / "disparity"), "found no disparity in .*disparity_trainvaltest"),
    "no such folder": (shutil.rmtree, "must name folders, found none at"),
    "no split": (
        lambda root: shutil.rmtree(root / "gtFine" / "val"),
        "gtFine/val must hold city/.*labelIds.png, found",
    ),
    "half": (lambda root: first(root, "gtFine").unlink(), "found 1 without, for one aachen_000000_000019"),
    "cut short": (
        lambda root: first(root, "leftImg8bit").write_bytes(first(root, "leftImg8bit").read_bytes()[:9000]),
        "leftImg8bit.png cannot be read as a picture",
    ),
    "another picture": (
        lambda root: shutil.copy(first(root, "leftImg8bit"), first(root, "gtFine")),
        "one channel of 8 or 16 bits, found mode RGB",
    ),
    "another label": (
        lambda root: Image.fromarray(np.full(FULL, 77, np.uint8)).save(first(root, "gtFine")),
        "label ids must be 0 to 33, found 77",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_cannot_be_right_is_one_line_and_nothing_is_prepared(fault: str, root: Path) -> None:
    spoil, message = SPOILT[fault]
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        CityScapesSource().prepare(None, [root], [])
    assert "\n" not in str(caught.value)
    assert not (root.parent / "home" / "data" / "cityscapes").exists()


def test_a_zip_and_an_unknown_reading_are_one_line(root: Path) -> None:
    with pytest.raises(UserError, match="found gtFine_trainvaltest.zip. Unpack it first"):
        CityScapesSource().prepare(None, [root / "gtFine_trainvaltest.zip"], [])
    with pytest.raises(UserError, match="--choose classes.*evaluted.*evaluated"):
        CityScapesSource().prepare(None, [root], ["classes=evaluted"])
