"""Rays meet boxes where geometry says: on a face, with nothing before it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from go4align.benchmarks.dense.assembly import Assembly, Part, Things, halves
from go4align.benchmarks.dense.raycast import Boxes, Cameras, Hits, cast

HEIGHT = 9
WIDTH = 12
SEEDS = st.integers(0, 2**32)


def made(seed: int) -> tuple[Cameras, Boxes, Hits]:
    """Three scenes of five boxes, some not there, in a room; cameras that are turned at random."""
    random = np.random.default_rng(seed)
    n = 3
    assembly = Assembly(n, ("room", "box"))
    yes = np.ones(n, bool)
    assembly.add("room", Things(np.zeros((n, 3)), random.uniform(3, 5, (n, 3)), random.uniform(-1, 1, n), yes))
    for _ in range(5):
        foot = random.uniform([-3, 0, 0], [3, 2, 3], (n, 3))
        there = random.uniform(size=n) < 0.7
        assembly.add("box", Things(foot, random.uniform(0.1, 0.9, (n, 3)), random.uniform(-2, 2, n), there))
    yaw, pitch, roll = random.uniform(-0.5, 0.5, (3, n)).astype(np.float32)
    position = random.uniform([-1, 1, -2], [1, 2, -1], (n, 3)).astype(np.float32)
    cameras = Cameras.looking(position, yaw, pitch, roll, 0.9)
    boxes = assembly.boxes()
    return cameras, boxes, cast(cameras, boxes, HEIGHT, WIDTH, inside=0)


def inside(boxes: Boxes, number: int, world: np.ndarray, slack: float) -> np.ndarray:
    """Whether points [n, H, W, 3] are inside a box that is smaller by `slack`."""
    away = world - boxes.centre[:, number, None, None]
    cosine, sine = (f(boxes.yaw[:, number, None, None]) for f in (np.cos, np.sin))
    right = cosine * away[..., 0] - sine * away[..., 2]
    ahead = sine * away[..., 0] + cosine * away[..., 2]
    within = np.abs(np.stack([right, away[..., 1], ahead], -1)) < boxes.half[:, number, None, None] - slack
    return within.all(-1)


@given(SEEDS)
def test_between_a_camera_and_what_it_sees_there_is_nothing_and_behind_it_there_is(seed: int) -> None:
    cameras, boxes, hits = made(seed)
    rays = np.moveaxis(cameras.rays(HEIGHT, WIDTH), 0, -1)
    seen_from = cameras.position[:, None, None]
    blind = [
        inside(boxes, p, np.broadcast_to(seen_from, rays.shape), 0) & boxes.there[:, p, None, None] for p in range(6)
    ]
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        world = seen_from + share * hits.depth[..., None] * rays
        assert inside(boxes, 0, world, 0).all()
        for number in range(1, 6):
            free = ~inside(boxes, number, world, 1e-3) | ~boxes.there[:, number, None, None] | blind[number]
            assert free.all()
    behind = seen_from + (hits.depth[..., None] + 2e-3) * rays
    for number in range(1, 6):
        assert (inside(boxes, number, behind, -1e-2) | (hits.box != number)).all()
    assert np.isfinite(hits.depth).all()


@given(SEEDS)
def test_a_place_is_on_a_face_of_the_box_and_the_normal_is_that_face_s(seed: int) -> None:
    cameras, boxes, hits = made(seed)
    scene = np.arange(len(hits.box))[:, None, None]
    half = boxes.half[scene, hits.box]
    on = np.take_along_axis(np.abs(hits.place) - half, hits.axis[..., None], -1)[..., 0]
    assert np.abs(on).max() < 1e-3
    assert (np.abs(hits.place) < half + 1e-3).all()
    assert np.allclose(np.linalg.norm(hits.normal, axis=-1), 1, atol=1e-5)
    rays = np.einsum("nji,jnhw->nhwi", cameras.rotation, cameras.rays(HEIGHT, WIDTH))  # in the camera's frame
    assert np.allclose(rays[..., 2], 1, atol=1e-5)  # so that depth is along z
    assert ((rays * hits.normal).sum(-1) < 1e-6).all()
    level = np.einsum("nij,nhwj->nhwi", cameras.rotation, hits.normal)[..., 1]  # of the world: boxes stand upright
    assert np.allclose(np.abs(level), hits.axis == 1, atol=1e-5)


def test_a_camera_that_looks_at_a_wall_sees_its_distance_and_itself_looked_at() -> None:
    zero = np.zeros(1, np.float32)
    cameras = Cameras.looking(np.zeros((1, 3), np.float32), zero, zero, zero, 1.0)
    assembly = Assembly(1, ("wall",))
    assembly.add("wall", Things(np.array([[0, -50, 4]]), np.array([[50, 50, 1.0]]), np.zeros(1), np.ones(1, bool)))
    hits = cast(cameras, assembly.boxes(), 8, 8)
    assert np.allclose(hits.depth, 3)
    assert np.allclose(hits.normal, [0, 0, -1])


def test_depth_is_infinite_and_no_box_named_where_there_is_nothing() -> None:
    zero = np.zeros(1, np.float32)
    cameras = Cameras.looking(np.zeros((1, 3), np.float32), zero, zero, zero, 1.0)
    assembly = Assembly(1, ("wall",))
    assembly.add("wall", Things(np.array([[0, -50, -4]]), np.array([[50, 50, 1.0]]), np.zeros(1), np.ones(1, bool)))
    hits = cast(cameras, assembly.boxes(), 8, 8)  # it is behind the camera
    assert np.isinf(hits.depth).all()
    assert (hits.box == -1).all()


def test_parts_of_a_thing_turn_with_it() -> None:
    thing = Things(np.array([[1.0, 0, 2]]), np.array([[1.0, 0.5, 2]]), np.array([np.pi / 2]), np.ones(1, bool))
    assembly = Assembly(1, ("table", "leg"))
    assembly.add("table", thing, (Part((1, 0.5, 0), (0.1, 0.5, 0.2), "leg"),))
    boxes = assembly.boxes()
    assert np.allclose(boxes.centre, [[[1, 0.75, 1]]], atol=1e-6)  # its right is now the world's -z
    assert np.allclose(boxes.half, [[[0.1, 0.25, 0.4]]])
    assert boxes.label.tolist() == [[1]]


def test_what_is_put_on_a_thing_stands_on_it() -> None:
    random = np.random.default_rng(0)
    table = Things(np.zeros((50, 3)), halves((1.0, 0.8, 1.0), 50, random), random.uniform(-1, 1, 50), np.ones(50, bool))
    upon = table.on_top((0.2, 0.2, 0.2), random)
    assert np.allclose(upon.foot[:, 1], 2 * table.half[:, 1])
    assert (np.linalg.norm(upon.foot[:, ::2], axis=1) <= np.linalg.norm(table.half[:, ::2], axis=1)).all()
