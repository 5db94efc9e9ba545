"""Generated rooms: labels, depth and normals are one geometry's, and no pixel's colour tells them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Arrays, angle_deg, chosen, colour, fitted_normal, points, predicted, surroundings

from go4align.benchmarks.dense.raycast import Hits, cast
from go4align.benchmarks.nyuv2.rooms import FOCAL, class_of, rooms, seen_rooms
from go4align.benchmarks.nyuv2.source import CLASSES

HEIGHT = 32
WIDTH = 48
PIXELS = 4000


def geometry(n: int, seed: int) -> tuple[NDArray[np.int8], Hits]:
    """Classes and surfaces behind the pixels of `rooms(n, HEIGHT, WIDTH, seed)`, before anything is void."""
    cameras, boxes = seen_rooms(n, np.random.default_rng([seed, n, HEIGHT, WIDTH]))
    hits = cast(cameras, boxes, HEIGHT, WIDTH, inside=0)
    return class_of(boxes, hits), hits


@pytest.fixture(scope="module")
def many() -> Arrays:
    return rooms(200, HEIGHT, WIDTH, 0)


@pytest.fixture(scope="module")
def others() -> Arrays:
    return rooms(60, HEIGHT, WIDTH, 1)


def valid_normal(scenes: Arrays) -> NDArray[np.bool_]:
    return (scenes["normal"] != 0).any(-1)


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_points_of_a_face_lie_in_a_plane_with_the_stored_normal(seed: int) -> None:
    found = rooms(2, HEIGHT, WIDTH, seed)
    _, hits = geometry(2, seed)
    depth = found["depth"].astype(np.float64)
    normal = found["normal"].astype(np.float64)
    cloud = points(depth, FOCAL)
    face = 3 * hits.box + hits.axis
    told = 0
    for scene in range(2):
        for number in np.unique(face[scene]):
            # of a box's two faces across an axis a camera sees one, of a room's perhaps both
            at = (face[scene] == number) & (depth[scene] > 0) & valid_normal(found)[scene]
            for first in np.unique(normal[scene][at], axis=0):
                one = at & (normal[scene] == first).all(-1)
                offsets = cloud[scene][one] @ first
                assert np.ptp(offsets) < 4e-3 * depth[scene][one].max()  # float16 has depths and normals to 1 in 2,048
                if one.sum() >= 40:
                    normals, spread = fitted_normal(cloud[scene][one])
                    if spread > 0.15:
                        assert angle_deg(normals, first) < 2
                        told += 1
    assert told >= 2


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_stored_pixels_are_those_of_the_geometry_or_void(seed: int) -> None:
    found = rooms(2, HEIGHT, WIDTH, seed)
    label, hits = geometry(2, seed)
    labelled = found["label"] >= 0
    assert (found["label"][labelled] == label[labelled]).all()
    deep = found["depth"] > 0
    assert np.allclose(found["depth"][deep], hits.depth[deep], rtol=1e-3)
    assert np.allclose(found["normal"][valid_normal(found)], hits.normal[valid_normal(found)], atol=1e-3)
    assert (deep | ~valid_normal(found)).all()  # normals are made from depth
    up = np.take_along_axis(hits.normal, np.zeros((2, HEIGHT, WIDTH, 1), int) + 1, -1)[..., 0]
    assert (up[label == CLASSES.index("floor")] < 0).all()  # y points down
    assert (up[label == CLASSES.index("ceiling")] > 0).all()


def test_normals_are_of_unit_length_and_face_the_camera(many: Arrays) -> None:
    valid = valid_normal(many) & (many["depth"] > 0)
    normal = many["normal"][valid].astype(np.float64)
    assert np.abs(np.linalg.norm(normal, axis=-1) - 1).max() < 2e-3
    assert ((points(many["depth"].astype(np.float64), FOCAL)[valid] * normal).sum(-1) < 1e-2).all()


def test_arrays_are_as_prepared_ones_and_void_in_places_that_differ(many: Arrays) -> None:
    shape = (200, HEIGHT, WIDTH)
    forms = {name: (array.shape, array.dtype) for name, array in many.items()}
    assert forms == {
        "image": ((*shape, 3), np.uint8),
        "label": (shape, np.int8),
        "depth": (shape, np.float16),
        "normal": ((*shape, 3), np.float16),
    }
    assert 0 < many["depth"].max() < 9.6
    missing = [many["label"] < 0, many["depth"] == 0, ~valid_normal(many)]
    assert all(0.003 < void.mean() < 0.15 for void in missing)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (missing[one] != missing[other]).any()


def test_every_class_is_there_and_a_room_s_own_surfaces_most(many: Arrays) -> None:
    share = np.array([(many["label"] == number).mean() for number in range(len(CLASSES))])
    scenes = np.array([(many["label"] == number).any((1, 2)).mean() for number in range(len(CLASSES))])
    assert (scenes > 0.1).all()
    assert set(np.argsort(-share)[:2]) == {CLASSES.index("wall"), CLASSES.index("floor")}
    rare = [CLASSES.index(name) for name in ("books", "objects", "picture", "tv")]
    assert share[rare].max() < share[CLASSES.index("wall")] / 10
    assert scenes[CLASSES.index("wall")] > 0.99


def test_seeds_decide(many: Arrays) -> None:
    again = rooms(200, HEIGHT, WIDTH, 0)
    assert all(np.array_equal(many[name], again[name]) for name in many)
    other = rooms(200, HEIGHT, WIDTH, 1)
    assert not any((one == two).all((0, 1)).any() for one, two in zip(many["depth"], other["depth"], strict=True))


def test_a_colour_tells_neither_depth_nor_normals_and_surroundings_do(many: Arrays, others: Arrays) -> None:
    def error(target: str, features: Any) -> float:
        at, of = (chosen((many["depth"] > 0) & valid_normal(many), PIXELS), chosen(valid_normal(others), PIXELS))
        wanted, truth = (
            scenes[target].reshape(scenes["label"].size, -1)[where].astype(np.float64).squeeze()
            for scenes, where in ((many, at), (others, of))
        )
        if features is None:  # the best constant
            guesses = [np.broadcast_to(guess, truth.shape) for guess in constants(wanted)]
        else:
            guesses = [predicted((features(many)[at], wanted), features(others)[of])]
        if target == "depth":
            return min(float(np.abs(guess - truth).mean()) for guess in guesses)
        return min(float(angle_deg(guess, truth).mean()) for guess in guesses)

    for target in ("depth", "normal"):
        constant = error(target, None)
        assert error(target, colour) > 0.93 * constant
        assert error(target, surroundings) < 0.75 * constant


def constants(wanted: NDArray[Any]) -> list[Any]:
    if wanted.ndim == 1:
        return [np.median(wanted)]
    return [wanted.mean(0), *np.eye(3), *-np.eye(3)]


def test_surroundings_tell_classes(many: Arrays, others: Arrays) -> None:
    at = chosen(many["label"] >= 0, PIXELS)
    of = chosen(others["label"] >= 0, PIXELS)
    wanted = many["label"].ravel()[at]
    truth = others["label"].ravel()[of]
    most_frequent = (truth == np.bincount(wanted).argmax()).mean()
    found = predicted((surroundings(many)[at], wanted), surroundings(others)[of], classes=True)
    assert (found == truth).mean() > most_frequent + 0.15
