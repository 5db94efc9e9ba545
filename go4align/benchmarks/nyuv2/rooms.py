"""Generated rooms with NYUv2's 13 classes: walls, furniture and what hangs on walls, seen by a camera.

No picture of NYUv2 is in them. Labels, depth and normals are those of the geometry, and void where a sensor would see
nothing. Normals are in the camera's frame (x right, y down, z forwards) and point towards it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.dense.assembly import WHOLE, Assembly, Part, Things, Triple, halves, some
from go4align.benchmarks.dense.painting import Pattern, painted
from go4align.benchmarks.dense.raycast import Boxes, Cameras, Hits, cast
from go4align.benchmarks.nyuv2.source import CLASSES

_PATTERNS = {
    "bed": Pattern("tiles", 0.3, 0.5),
    "books": Pattern("stripes", 0.07, 0.8),
    "ceiling": Pattern("plain", saturation=0.3),
    "chair": Pattern("stripes", 0.15, 0.6),
    "floor": Pattern("tiles", 0.5, 0.4, saturation=0.5),
    "furniture": Pattern("frame", contrast=0.4, saturation=0.6),
    "objects": Pattern(),
    "picture": Pattern("noise", contrast=0.9),
    "sofa": Pattern("noise", contrast=0.35),
    "table": Pattern("stripes", 0.25, 0.35, saturation=0.6),
    "tv": Pattern("screen", contrast=0.9, saturation=0.2),
    "wall": Pattern("stripes", 0.8, 0.15, saturation=0.5),
    "window": Pattern("frame", contrast=0.6, saturation=0.4),
}

FOCAL = 0.9
"""In units of a picture's height: about NYUv2's 58 degrees of height."""
_CHUNK = 128
"""Scenes that are made together."""
_FARTHEST_M = 9.5

_BED = (Part((0, -0.5, 0), (1, 0.5, 1)), Part((0, 0, -0.94), (1, 1, 0.06)))
_SOFA = (
    Part((0, -0.5, 0), (1, 0.5, 1)),
    Part((0, 0.5, -0.7), (1, 0.5, 0.3)),
    *(Part((0.9 * side, 0.2, 0), (0.1, 0.2, 1)) for side in (-1, 1)),
)
_TABLE = (Part((0, 0.92, 0), (1, 0.08, 1)), *(Part((0.85 * side, -0.08, 0), (0.05, 0.92, 0.7)) for side in (-1, 1)))
_CHAIR = (Part((0, -0.5, 0), (1, 0.5, 1)), Part((0, 0.5, -0.88), (1, 0.5, 0.12)))


@dataclass(frozen=True)
class _Furniture:
    """What stands with its back to a wall: its class, edges in metres, share of rooms, and boxes."""

    label: str
    edges: Triple
    share: float
    parts: Sequence[Part] = WHOLE


_AT_WALLS = (
    _Furniture("bed", (1.6, 0.95, 2.0), 0.6, _BED),
    _Furniture("sofa", (2.0, 0.9, 0.95), 0.6, _SOFA),
    _Furniture("furniture", (1.1, 1.9, 0.55), 0.6),
    _Furniture("furniture", (1.5, 0.8, 0.5), 0.7),
    _Furniture("books", (1.0, 1.8, 0.35), 0.35),
)
_HANGING = (
    _Furniture("picture", (0.9, 0.7, 0.03), 0.8),
    _Furniture("window", (1.4, 1.2, 0.03), 0.8),
    _Furniture("tv", (1.4, 0.8, 0.06), 0.5),
)


def rooms(n: int, height: int, width: int, seed: int) -> Mapping[str, NDArray[Any]]:
    """Generated rooms; equal arguments give equal rooms, other seeds other ones.

    Args:
        n: how many.
        height, width: pixels.
        seed: of everything random.

    Returns:
        image [n, H, W, 3] uint8; label [n, H, W] int8, -1 where there is none; depth [n, H, W] float16, metres, 0 where
        there is none; normal [n, H, W, 3] float16, of unit length, zero where there is none.
    """
    random = np.random.default_rng([seed, n, height, width])
    parts = [_rooms(min(_CHUNK, n - start), height, width, random) for start in range(0, n, _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _rooms(n: int, height: int, width: int, random: Generator) -> dict[str, NDArray[Any]]:
    cameras, boxes = seen_rooms(n, random)
    hits = cast(cameras, boxes, height, width, inside=0)
    label = class_of(boxes, hits)
    lamp = np.stack([random.uniform(-1.5, 1.5, n), random.uniform(-1.2, -0.2, n), random.uniform(-0.5, 2.5, n)], -1)
    image = painted([_PATTERNS[name] for name in CLASSES], label, boxes, cameras, hits, lamp.astype(np.float32), random)
    return {"image": image, **_measured(label, hits, random)}


def seen_rooms(n: int, random: Generator) -> tuple[Cameras, Boxes]:
    """Cameras, and the rooms that they are in: box 0, seen from inside, and what stands and hangs there."""
    half = random.uniform([2.0, 1.2, 2.0], [3.5, 1.5, 4.0], (n, 3))
    room = Things(np.zeros((n, 3)), half, np.zeros(n), np.ones(n, bool))
    assembly = Assembly(n, CLASSES)
    assembly.add("wall", room)
    _furnish(assembly, room, random)
    position = room.at(random.uniform(-0.5, 0.5, n), np.zeros(n), random.uniform(-0.85, -0.5, n))
    position[:, 1] = random.uniform(1.1, 1.7, n)
    yaw, pitch, roll = (random.uniform(-high, high, n).astype(np.float32) for high in (0.45, 0.1, 0.05))
    return Cameras.looking(position.astype(np.float32), yaw, pitch + 0.15, roll, FOCAL), assembly.boxes()


def _furnish(assembly: Assembly, room: Things, random: Generator) -> None:
    n = len(room.foot)
    places = random.permuted(np.tile(np.arange(6), (n, 1)), axis=1)  # two at each of three walls
    for number, piece in enumerate(_AT_WALLS):
        edges = halves(piece.edges, n, random)
        along = np.where(places[:, number] < 3, 0.0, 0.6) + random.uniform(-0.1, 0.1, n)
        stands = _at_wall(room, places[:, number] % 3, along, np.zeros(n), edges, some(piece.share, n, random))
        assembly.add(piece.label, stands, piece.parts)
        if piece.label == "furniture":
            _put_on(assembly, stands, random)
    for piece in _HANGING:
        edges = halves(piece.edges, n, random)
        up = random.uniform(1.2, 1.5, n)
        wall = random.integers(0, 3, n)
        hangs = _at_wall(room, wall, random.uniform(-0.1, 0.7, n), up, edges, some(piece.share, n, random))
        assembly.add(piece.label, hangs)
    _dine(assembly, room, random)


def _at_wall(
    room: Things, wall: NDArray[np.int64], along: Any, up: Any, half: NDArray[Any], there: NDArray[np.bool_]
) -> Things:
    """With its back to the left wall, the one in front, or the right one: 0, 1, 2; `along` the wall from its middle."""
    side = wall - 1.0
    front = side == 0
    x = np.where(front, 1.2 * along - 0.4, side)
    foot = room.at(x, np.full(len(x), -1.0), np.where(front, 1.0, along))
    inwards = np.where(front, 0.0, -side)
    foot = foot + np.stack([inwards * half[:, 2], up, np.where(front, -half[:, 2], 0)], -1)
    return Things(foot, half, np.where(front, np.pi, -side * np.pi / 2), there)


def _dine(assembly: Assembly, room: Things, random: Generator) -> None:
    """A table away from the walls, with chairs, and what lies about."""
    n = len(room.foot)
    middle = room.at(random.uniform(-0.45, 0.45, n), np.full(n, -1.0), random.uniform(-0.05, 0.45, n))
    table = Things(middle, halves((1.3, 0.75, 0.8), n, random), random.normal(0, 0.2, n), some(0.7, n, random))
    assembly.add("table", table, _TABLE)
    _put_on(assembly, table, random)
    for side in (-1, 1):
        foot = table.at(np.full(n, 1.3 * side), np.full(n, -1.0), random.uniform(-1, 0.8, n))
        turned = table.yaw - side * np.pi / 2 + random.normal(0, 0.3, n)
        chair = Things(foot, halves((0.5, 0.95, 0.5), n, random), turned, some(0.6, n, random))
        assembly.add("chair", chair, _CHAIR)
    foot = room.at(random.uniform(-0.6, 0.6, n), np.full(n, -1.0), random.uniform(-0.1, 0.7, n))
    assembly.add(
        "objects", Things(foot, halves((0.4, 0.4, 0.4), n, random), random.uniform(-1, 1, n), some(0.7, n, random))
    )


def _put_on(assembly: Assembly, things: Things, random: Generator) -> None:
    for label, edges in (("books", (0.45, 0.25, 0.25)), ("objects", (0.2, 0.35, 0.2))):
        upon = things.on_top(edges, random)
        assembly.add(label, replace(upon, there=upon.there & some(0.6, len(upon.there), random)))


def class_of(boxes: Boxes, hits: Hits) -> NDArray[np.int8]:
    """Classes [n, H, W]: the room's floor and ceiling are told from its walls by their height."""
    scene = np.arange(len(hits.box))[:, None, None]
    label = boxes.label[scene, hits.box]
    level = (hits.box == 0) & (hits.axis == 1)
    floor_or_ceiling = np.where(hits.place[..., 1] < 0, CLASSES.index("floor"), CLASSES.index("ceiling"))
    return np.where(level, floor_or_ceiling, label).astype(np.int8)


def _measured(label: NDArray[np.int8], hits: Hits, random: Generator) -> dict[str, NDArray[Any]]:
    """What sensors and annotators give: not everything, and not all missing at the same places."""
    far = hits.depth > _FARTHEST_M
    edge = np.zeros(label.shape, bool)
    edge[:, :, 1:] = hits.box[:, :, 1:] != hits.box[:, :, :-1]  # a sensor's shadow beside what is nearer
    no_depth = far | (edge & (random.uniform(size=label.shape) < 0.5))
    no_label = (edge & (random.uniform(size=label.shape) < 0.3)) | (random.uniform(size=label.shape) < 0.01)
    no_normal = no_depth | (random.uniform(size=label.shape) < 0.01)
    return {
        "label": np.where(no_label, -1, label).astype(np.int8),
        "depth": np.where(no_depth, 0, hits.depth).astype(np.float16),
        "normal": np.where(no_normal[..., None], 0, hits.normal).astype(np.float16),
    }
