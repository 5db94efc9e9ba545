"""The original NYUv2 file: split and classes from the tables, normals from depth; whatever is wrong is one line."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from go4align import UserError
from go4align.benchmarks.nyuv2 import mat, official
from go4align.benchmarks.nyuv2.plane_fits import fitted_normals
from go4align.benchmarks.nyuv2.rooms import FOCAL, rooms
from go4align.benchmarks.nyuv2.source import CLASSES, NYUv2Source
from tests.helpers.oracles import oracle
from tests.helpers.scenes import angle_deg

pytestmark = pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them")

FULL = (480, 640)
WRITTEN = (0, 2, 1448)
"""Images of the written file that hold something; 3 (counted from 1) is the first to train on."""


def picture(number: int) -> dict[str, np.ndarray[Any, Any]]:
    """As h5py shows an image: channels first, width before height."""
    random = np.random.default_rng(number)
    rows = np.arange(FULL[0])[:, None] + np.zeros(FULL[1])
    depth = 2.0 + 0.002 * rows + 0.1 * number / 1448
    raw = np.where(rows < 50, 0, depth)
    return {
        "images": random.integers(0, 256, (3, 1, 1), dtype=np.uint8) + np.zeros((3, *FULL[::-1]), np.uint8),
        "depths": depth.T.astype(np.float32),
        "rawDepths": raw.T.astype(np.float32),
        "labels": (rows % 895).T.astype(np.uint16),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the official shapes, sparse: only a few images were written."""
    path = tmp_path_factory.mktemp("mat") / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        for name, array in picture(0).items():
            stored = file.create_dataset(
                name, (1449, *array.shape), array.dtype, chunks=(1, *array.shape), compression="lzf"
            )
            for number in WRITTEN:
                stored[number] = picture(number)[name]
    return path


def test_split_and_classes_are_those_of_the_published_tables() -> None:
    facts = oracle("dense_data_facts")["nyuv2"]
    assert (official.split("train") + 1).tolist() == facts["train_indices_1_based"]
    assert (official.split("test") + 1).tolist() == facts["test_indices_1_based"]
    of_40 = facts["40_to_13"]["values_index_is_class40_minus_1"]
    of_raw = facts["raw_to_40"]["values_index_is_raw_label_minus_1"]
    assert official.classes_of_raw().tolist() == [-1, *(of_40[number - 1] - 1 for number in of_raw)]
    assert list(CLASSES) == facts["names_13"]


def test_split_has_every_image_once_and_classes_have_the_published_counts() -> None:
    both = np.concatenate([official.split("train"), official.split("test")])
    assert len(official.split("train")) == 795
    assert sorted(both) == list(range(1449))
    assert np.bincount(official.classes_of_raw()[1:]).tolist() == [1, 1, 1, 1, 2, 89, 789, 1, 1, 2, 1, 2, 3]


@pytest.mark.parametrize("depths", ["depths", "rawDepths"])
def test_an_image_is_turned_shrunk_and_mapped(depths: str, whole: Path) -> None:
    with h5py.File(whole) as file:
        found = mat.prepared_pixels({name: file[name][2] for name in picture(2)}, depths)
    shapes = {name: (array.shape, array.dtype.name) for name, array in found.items()}
    assert shapes == {
        "image": ((288, 384, 3), "uint8"),
        "label": ((288, 384), "int8"),
        "depth": ((288, 384), "float16"),
        "normal": ((288, 384, 3), "float16"),
    }
    original = picture(2)
    assert (found["image"] == original["images"][:, 0, 0]).all()
    rows = ((np.arange(288) + 0.5) * 480 / 288).astype(int)
    np.testing.assert_array_equal(found["label"][:, 0], official.classes_of_raw()[rows])
    np.testing.assert_allclose(found["depth"][:, 5], original[depths].T[rows, 5], rtol=1e-3)
    there = np.linalg.norm(found["normal"].astype(np.float32), axis=-1) > 0
    assert not there[rows < 50].any(), "an in-painted depth has a normal"
    assert there[rows >= 50].all()


def test_normals_of_planes_are_exact_and_face_the_camera() -> None:
    focal = (120.0, 110.0)
    centre = (31.0, 20.0)
    x = (np.arange(64) - centre[0]) / focal[0]
    y = (np.arange(48) - centre[1]) / focal[1]
    for tilt in itertools.product((-0.7, 0.0, 0.7), repeat=2):
        normal = np.array([*tilt, -1.0]) / np.linalg.norm([*tilt, 1.0])
        distance = normal[0] * x + normal[1] * y[:, None] + normal[2]
        depth = np.where(distance < 0, -2 / distance, 0)
        found = fitted_normals(depth.astype(np.float32), focal, centre)
        assert angle_deg(found, np.broadcast_to(normal, found.shape)).max() < 0.05


def test_normals_of_rooms_agree_with_their_geometry() -> None:
    height, width = 144, 192
    scenes = rooms(3, height, width, 0)
    for number in range(3):
        truth = scenes["normal"][number].astype(np.float32)
        found = fitted_normals(
            scenes["depth"][number].astype(np.float32), (FOCAL * height,) * 2, (width / 2 - 0.5, height / 2 - 0.5)
        )
        there = (np.linalg.norm(found, axis=-1) > 0) & (np.linalg.norm(truth, axis=-1) > 0)
        angles = angle_deg(found, truth)[there]
        assert there.mean() > 0.9
        assert np.median(angles) < 1
        assert (angles < 11.25).mean() > 0.75  # the rest is at edges, where a plane has no business


def test_a_pixel_without_depth_and_one_alone_have_no_normal() -> None:
    depth = np.zeros((20, 20), np.float32)
    depth[10, 10] = 2
    assert not fitted_normals(depth, (20, 20), (10, 10)).any()


def test_a_file_is_prepared_and_its_normals_are_told_of(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    monkeypatch.setattr(official, "split", lambda name: np.array([2] if name == "train" else [0, 1448]))
    source = NYUv2Source()
    prepared, converted = source.prepare(None, [whole], ["depth=rawDepths"])
    assert converted
    assert prepared.arrays["train_image"].shape == (1, 288, 384, 3)
    assert prepared.arrays["test_depth"].shape == (2, 288, 384)
    assert "derived from depth" in prepared.note
    assert source.open().note == source.note == prepared.note
    assert source.open().source == f"{whole}, depth=rawDepths"


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def rewritten(name: str, shape: tuple[int, ...] | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            if shape is not None:
                file.create_dataset(name, shape, np.float32, chunks=True)

    return change


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut short": (cut, "cannot be read as HDF5: .*truncated.*fetch it again"),
    "another format": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600)), "cannot be read as HDF5"),
    "absent": (lambda path: path.unlink(), "must name nyu_depth_v2_labeled.mat, found no file at"),
    "no depths": (rewritten("rawDepths", None), "must hold rawDepths of 1449 x 640 x 480, found none"),
    "another shape": (rewritten("depths", (1449, 480, 640)), "found 1449 x 480 x 640. Give"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_cannot_be_right_is_one_line(
    fault: str, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes())
    spoil, message = SPOILT[fault]
    spoil(path)
    with pytest.raises(UserError, match=message) as caught:
        NYUv2Source().prepare(None, [path], [])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "home" / "data").exists()


def test_a_raw_label_out_of_range_and_a_depth_that_is_no_number_are_one_line() -> None:
    found = picture(2)
    with pytest.raises(UserError, match="raw labels must be 0 to 894, found 900"):
        mat.prepared_pixels(found | {"labels": np.full_like(found["labels"], 900)}, "depths")
    with pytest.raises(UserError, match="must be finite"):
        mat.prepared_pixels(found | {"depths": np.full_like(found["depths"], np.nan)}, "depths")
