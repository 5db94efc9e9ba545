"""Generated streets: labels and inverse depth are one geometry's, and no pixel's colour tells the depth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Arrays, chosen, colour, points, predicted, surroundings

from go4align.benchmarks.cityscapes.source import CLASSES
from go4align.benchmarks.cityscapes.streets import DISPARITY_M, FOCAL, NEAREST_RAW, class_of, seen_streets, streets
from go4align.benchmarks.dense.raycast import Hits, cast

HEIGHT = 32
WIDTH = 64
PIXELS = 4000
SKY = CLASSES.index("sky")


def geometry(n: int, seed: int) -> tuple[NDArray[np.int8], Hits]:
    """Classes and surfaces behind the pixels of `streets(n, HEIGHT, WIDTH, seed)`, before anything is void."""
    cameras, boxes = seen_streets(n, np.random.default_rng([seed, n, HEIGHT, WIDTH]))
    hits = cast(cameras, boxes, HEIGHT, WIDTH)
    return class_of(boxes, hits), hits


def metres(raw: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Depth of raw disparities as CityScapes encodes them, 0 where there is none."""
    disparity = (raw.astype(np.float64) - 1) / 256
    return np.where(raw > 0, DISPARITY_M / np.maximum(disparity, 1e-9), 0)


@pytest.fixture(scope="module")
def many() -> Arrays:
    return streets(200, HEIGHT, WIDTH, 0)


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_points_of_a_face_lie_in_a_plane_across_its_normal(seed: int) -> None:
    found = streets(2, HEIGHT, WIDTH, seed)
    _, hits = geometry(2, seed)
    depth = metres(found["depth"])
    cloud = points(depth, FOCAL)
    faces = 0
    for scene in range(2):
        for box, axis in np.unique(np.stack([hits.box[scene], hits.axis[scene]], -1).reshape(-1, 2), axis=0):
            at = (hits.box[scene] == box) & (hits.axis[scene] == axis) & (depth[scene] > 0)
            near = at & (depth[scene] < 30)  # farther away a disparity's rounding is centimetres
            if box >= 0 and near.sum() >= 2:
                normal = hits.normal[scene][near].astype(np.float64)
                assert np.ptp((cloud[scene][near] * normal[0]).sum(-1)) < 0.02
                faces += 1
    assert faces >= 3


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_stored_pixels_are_those_of_the_geometry_or_void(seed: int) -> None:
    found = streets(2, HEIGHT, WIDTH, seed)
    label, hits = geometry(2, seed)
    labelled = found["label"] >= 0
    assert (found["label"][labelled] == label[labelled]).all()
    deep = found["depth"] > 0
    assert not (deep & (label == SKY)).any()
    assert np.allclose((found["depth"][deep] - 1.0) / 256 * hits.depth[deep], DISPARITY_M, rtol=0.01)
    assert (hits.depth[found["depth"] > 1] > 3.9).all()


def test_arrays_are_as_prepared_ones(many: Arrays) -> None:
    shape = (200, HEIGHT, WIDTH)
    forms = {name: (array.shape, array.dtype) for name, array in many.items()}
    assert forms == {
        "image": ((*shape, 3), np.uint8),
        "label": (shape, np.int8),
        "depth": (shape, np.uint16),
    }
    assert 0.4 < many["depth"].max() / 65535 <= NEAREST_RAW / 65535 < 0.4923
    void = many["label"] < 0
    assert 0.02 < void.mean() < 0.15
    assert void[:, -1].all()  # the hood
    assert (void != (many["depth"] == 0)).any()
    solid = (many["label"] >= 0) & (many["label"] != SKY)
    assert (many["depth"][solid] > 0).mean() > 0.9


def test_every_class_is_there_and_people_are_rarest(many: Arrays) -> None:
    share = np.array([(many["label"] == number).mean() for number in range(len(CLASSES))])
    scenes = np.array([(many["label"] == number).any((1, 2)).mean() for number in range(len(CLASSES))])
    assert (scenes > 0.5).all()
    assert np.argmin(share) == CLASSES.index("human")
    assert set(np.argsort(-share)[:2]) == {CLASSES.index("flat"), CLASSES.index("construction")}


def test_seeds_decide(many: Arrays) -> None:
    again = streets(200, HEIGHT, WIDTH, 0)
    assert all(np.array_equal(many[name], again[name]) for name in many)
    other = streets(200, HEIGHT, WIDTH, 1)
    assert not any((one == two).all() for one, two in zip(many["label"], other["label"], strict=True))


def test_a_colour_does_not_tell_depth_and_surroundings_do(many: Arrays) -> None:
    others = streets(60, HEIGHT, WIDTH, 1)
    at = chosen(many["depth"] > 0, PIXELS)
    of = chosen(others["depth"] > 0, PIXELS)
    wanted = many["depth"].ravel()[at] / 65535
    truth = others["depth"].ravel()[of] / 65535
    constant = np.abs(np.median(wanted) - truth).mean()
    by_colour = np.abs(predicted((colour(many)[at], wanted), colour(others)[of]) - truth).mean()
    by_surroundings = np.abs(predicted((surroundings(many)[at], wanted), surroundings(others)[of]) - truth).mean()
    assert by_colour > 0.9 * constant
    assert by_surroundings < 0.6 * constant


def test_surroundings_tell_classes(many: Arrays) -> None:
    others = streets(60, HEIGHT, WIDTH, 1)
    at = chosen(many["label"] >= 0, PIXELS)
    of = chosen(others["label"] >= 0, PIXELS)
    wanted = many["label"].ravel()[at]
    truth = others["label"].ravel()[of]
    most_frequent = (truth == np.bincount(wanted).argmax()).mean()
    found = predicted((surroundings(many)[at], wanted), surroundings(others)[of], classes=True)
    assert (found == truth).mean() > most_frequent + 0.3
