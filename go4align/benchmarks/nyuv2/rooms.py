"""Generated rooms with NYUv2's 13 classes: walls, furniture and what hangs on walls, seen by a camera.

No picture of NYUv2 is in them. Labels, depth and normals are those of the geometry, and void where a sensor would see
nothing. Normals are in the camera's frame (x right, y down, z forwards) and point towards it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.dense.painting import Pattern, painted
from go4align.benchmarks.dense.raycast import Boxes, Cameras, Floats, Hits, cast
from go4align.benchmarks.nyuv2.source import CLASSES

_PATTERNS = {
    "bed": Pattern("tiles", 0.25, 0.5),
    "books": Pattern("stripes", 0.06, 0.8),
    "ceiling": Pattern("stripes", 0.6, 0.15),
    "chair": Pattern("stripes", 0.15, 0.6),
    "floor": Pattern("tiles", 0.5, 0.45),
    "furniture": Pattern("frame", contrast=0.4),
    "objects": Pattern(),
    "picture": Pattern("noise", contrast=0.9),
    "sofa": Pattern("noise", contrast=0.35),
    "table": Pattern("stripes", 0.4, 0.3),
    "tv": Pattern("frame", contrast=0.95),
    "wall": Pattern("stripes", 1.0, 0.1),
    "window": Pattern("tiles", 0.4, 0.7),
}
_FOCAL = 0.9
"""In units of a picture's height: about NYUv2's 58 degrees of height."""
_CHUNK = 128
"""Scenes that are made together."""
_FARTHEST_M = 9.5


@dataclass(frozen=True)
class _Piece:
    """A kind of thing: its class, edges (across, up, along) in metres, how high its foot is, and how often it is there;
    what hangs on a wall is `flat`."""

    label: str
    edges: tuple[float, float, float]
    foot: float
    share: float
    flat: bool = False


_PIECES = (
    _Piece("bed", (1.6, 0.5, 2.0), 0.0, 0.45),
    _Piece("sofa", (2.0, 0.8, 0.9), 0.0, 0.5),
    _Piece("table", (1.3, 0.75, 0.8), 0.0, 0.6),
    _Piece("chair", (0.5, 0.9, 0.5), 0.0, 0.7),
    _Piece("chair", (0.5, 0.9, 0.5), 0.0, 0.4),
    _Piece("furniture", (1.0, 1.8, 0.5), 0.0, 0.6),
    _Piece("furniture", (1.4, 0.9, 0.5), 0.0, 0.5),
    _Piece("books", (0.6, 0.35, 0.3), 0.75, 0.5),
    _Piece("objects", (0.35, 0.35, 0.35), 0.0, 0.7),
    _Piece("objects", (0.3, 0.4, 0.3), 0.8, 0.5),
    _Piece("picture", (0.8, 0.6, 0.03), 1.5, 0.7, flat=True),
    _Piece("tv", (1.2, 0.7, 0.06), 1.0, 0.3, flat=True),
    _Piece("window", (1.4, 1.2, 0.03), 1.0, 0.7, flat=True),
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
    half = random.uniform([2.0, 1.2, 2.0], [3.5, 1.5, 4.0], (n, 3)).astype(np.float32)
    position = np.stack([random.uniform(-0.5, 0.5, n), random.uniform(1.1, 1.7, n), random.uniform(-0.8, -0.4, n)], -1)
    position = (position * np.stack([half[:, 0], np.ones(n), half[:, 2]], -1)).astype(np.float32)
    yaw, pitch, roll = (random.uniform(-high, high, n).astype(np.float32) for high in (0.5, 0.12, 0.06))
    cameras = Cameras.looking(position, yaw, pitch + 0.15, roll, _FOCAL)
    boxes = _furnished(half, random)
    hits = cast(cameras, boxes, height, width, inside=0)
    lamp = np.stack([random.uniform(-1.5, 1.5, n), random.uniform(-1.2, -0.2, n), random.uniform(-0.5, 2.5, n)], -1)
    patterns = [_PATTERNS[label] for label in CLASSES]
    image = painted(patterns, boxes, cameras, hits, lamp.astype(np.float32), random)
    return {"image": image, **_measured(_label(boxes, hits), hits, random)}


def _furnished(half: Floats, random: Generator) -> Boxes:
    """The room, box 0, from the floor at 0 up, and what stands and hangs in it."""
    n = len(half)
    centre = [np.stack([np.zeros(n), half[:, 1], np.zeros(n)], -1)]
    halves: list[NDArray[Any]] = [half]
    yaws = [np.zeros(n)]
    there = [np.ones(n, bool)]
    for piece in _PIECES:
        edges = np.array(piece.edges) / 2 * random.uniform(0.8, 1.25, (n, 3))
        if piece.flat:
            place, yaw = _on_a_wall(half, edges, random)
        else:
            place = np.stack(
                [random.uniform(-0.8, 0.8, n) * half[:, 0], random.uniform(-0.05, 0.85, n) * half[:, 2]], -1
            )
            yaw = random.choice([0, np.pi / 2], n) + random.normal(0, 0.15, n)
        up = piece.foot * random.uniform(0.9, 1.1, n) + edges[:, 1]
        centre.append(np.stack([place[:, 0], up, place[:, 1]], -1))
        halves.append(edges)
        yaws.append(yaw)
        there.append(random.uniform(size=n) < piece.share)
    labels = [CLASSES.index("wall"), *(CLASSES.index(piece.label) for piece in _PIECES)]
    return Boxes(
        centre=np.stack(centre, 1).astype(np.float32),
        half=np.stack(halves, 1).astype(np.float32),
        yaw=np.stack(yaws, 1).astype(np.float32),
        there=np.stack(there, 1),
        label=np.tile(labels, (n, 1)),
    )


def _on_a_wall(half: Floats, edges: NDArray[Any], random: Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places (x, z) [n, 2] on the wall in front or on one of those beside it, and the turns [n] that go with them."""
    n = len(half)
    side = random.choice([-1, 0, 1], n)
    along = random.uniform(-0.6, 0.8, n)
    x = np.where(side == 0, along * half[:, 0], side * (half[:, 0] - edges[:, 2]))
    z = np.where(side == 0, half[:, 2] - edges[:, 2], along * half[:, 2])
    return np.stack([x, z], -1), np.where(side == 0, 0.0, np.pi / 2)


def _label(boxes: Boxes, hits: Hits) -> NDArray[np.int8]:
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
