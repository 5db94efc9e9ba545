"""Generated streets with CityScapes's 7 classes and inverse depth: a road between buildings, seen from a car.

No picture of CityScapes is in them. Labels and inverse depth are those of the geometry, and void where the published
data have nothing: the sky has no depth, and the car's own hood no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.cityscapes.source import CLASSES
from go4align.benchmarks.dense.painting import Pattern, painted
from go4align.benchmarks.dense.raycast import Boxes, Cameras, Hits, cast

DISPARITY_M = 498.0
"""Disparity in pixels times depth in metres: CityScapes's baseline of 0.22 m times its focal length of 2,262 px."""
NEAREST_RAW = 32257
"""The largest published disparity: about 4 m."""

_PATTERNS = {
    "flat": Pattern("stripes", 3.0, 0.25),
    "construction": Pattern("tiles", 1.5, 0.45),
    "object": Pattern("stripes", 0.5, 0.7),
    "nature": Pattern("noise", contrast=0.7),
    "sky": Pattern(),
    "human": Pattern("stripes", 0.9, 0.5),
    "vehicle": Pattern("frame", contrast=0.5),
}
_FOCAL = 1.1
"""In units of a picture's height (1,024 rows and 2,262 px would be 2.2): wider, so that the road's sides are seen."""
_CHUNK = 128
_HOOD = 0.06
"""Of a picture's height, at its bottom: the car's own hood."""
_LONG_M = 200.0


def streets(n: int, height: int, width: int, seed: int) -> Mapping[str, NDArray[Any]]:
    """Generated streets; equal arguments give equal streets, other seeds other ones.

    Args:
        n: how many.
        height, width: pixels.
        seed: of everything random.

    Returns:
        image [n, H, W, 3] uint8; label [n, H, W] int8, -1 where there is none; depth [n, H, W] uint16, 256 times the
        disparity in pixels plus 1, 0 where there is none.
    """
    random = np.random.default_rng([seed, n, height, width])
    parts = [_streets(min(_CHUNK, n - start), height, width, random) for start in range(0, n, _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _streets(n: int, height: int, width: int, random: Generator) -> dict[str, NDArray[Any]]:
    position = np.stack([random.uniform(-1.5, 1.5, n), random.uniform(1.2, 2.2, n), np.zeros(n)], -1)
    yaw, pitch, roll = (random.uniform(-high, high, n).astype(np.float32) for high in (0.15, 0.06, 0.03))
    cameras = Cameras.looking(position.astype(np.float32), yaw, pitch + 0.03, roll, _FOCAL)
    boxes = _built(n, random)
    hits = cast(cameras, boxes, height, width)
    lamp = np.stack([random.uniform(-60, 60, n), np.full(n, -80.0), random.uniform(-60, 20, n)], -1)
    patterns = [_PATTERNS[label] for label in CLASSES]
    image = painted(patterns, boxes, cameras, hits, lamp.astype(np.float32), random)
    sky = hits.box < 0
    haze = random.uniform(0.6, 0.95, (n, 1, 1, 3)) + random.normal(0, 0.02, image.shape)
    image = np.where(sky[..., None], np.round(255 * np.clip(haze, 0, 1)), image).astype(np.uint8)
    return {"image": image, **_measured(boxes, hits, random)}


@dataclass(frozen=True)
class _Thing:
    """A kind of thing beside or on the road, on both sides.

    Attributes:
        label: its class.
        half: from and to which half of the edges (across, up, along), metres.
        aside: from and to how far its inner face is from the road's middle.
        ahead: from and to how far it is before the car.
        share: of streets that have it.
        foot: from and to how high it begins.
    """

    label: str
    half: tuple[tuple[float, float, float], tuple[float, float, float]]
    aside: tuple[float, float]
    ahead: tuple[float, float]
    share: float
    foot: tuple[float, float] = (0.0, 0.0)


_THINGS = (
    *(_Thing("construction", ((4, 2.5, 5), (8, 10, 9)), (6, 11), (6 + z, 12 + z), 0.75) for z in (0, 17, 34, 51, 68)),
    *(_Thing("nature", ((1, 1, 1), (1.8, 2.2, 1.8)), (4, 6), (6 + z, 14 + z), 0.6, (0.8, 2.0)) for z in (0, 12, 24)),
    *(_Thing("object", ((0.1, 2, 0.1), (0.17, 3.5, 0.17)), (4.2, 5), (4 + z, 16 + z), 0.6) for z in (0, 12, 24)),
    *(_Thing("object", ((0.4, 0.3, 0.04), (0.6, 0.5, 0.06)), (3.5, 4.5), (6, 25), 0.35, (1.8, 2.6)) for _ in range(3)),
    *(_Thing("vehicle", ((0.8, 0.65, 1.7), (1, 0.95, 2.4)), (1, 2.6), (7 + z, 14 + z), 0.55) for z in (0, 10, 20)),
    *(_Thing("human", ((0.22, 0.75, 0.18), (0.32, 0.95, 0.28)), (2.3, 4.7), (5, 18), 0.4) for _ in range(3)),
)


def _built(n: int, random: Generator) -> Boxes:
    """The ground, box 0, and what stands on it: P boxes in every street, of which some are not there."""
    centres = [np.tile([0.0, -0.5, 0.0], (n, 1))]
    halves = [np.tile([60.0, 0.5, _LONG_M], (n, 1))]
    yaws = [np.zeros(n)]
    there = [np.ones(n, bool)]
    for thing in _THINGS:
        for side in (-1, 1):
            half = random.uniform(*thing.half, (n, 3))
            x = side * (random.uniform(*thing.aside, n) + half[:, 0])
            up = random.uniform(*thing.foot, n) + half[:, 1]
            centres.append(np.stack([x, up, random.uniform(*thing.ahead, n)], -1))
            halves.append(half)
            yaws.append(random.normal(0, 0.05, n))
            there.append(random.uniform(size=n) < thing.share)
    labels = ["flat", *(thing.label for thing in _THINGS for _ in range(2))]
    return Boxes(
        centre=np.stack(centres, 1).astype(np.float32),
        half=np.stack(halves, 1).astype(np.float32),
        yaw=np.stack(yaws, 1).astype(np.float32),
        there=np.stack(there, 1),
        label=np.tile([CLASSES.index(label) for label in labels], (n, 1)),
    )


def _measured(boxes: Boxes, hits: Hits, random: Generator) -> dict[str, NDArray[Any]]:
    scene = np.arange(len(hits.box))[:, None, None]
    sky = hits.box < 0
    label = np.where(sky, CLASSES.index("sky"), boxes.label[scene, hits.box])
    height = label.shape[1]
    hood = np.arange(height) >= round(height * (1 - _HOOD))
    missing = random.uniform(size=label.shape) < 0.02
    raw = np.minimum(256 * DISPARITY_M / np.maximum(hits.depth, 1e-3) + 1, NEAREST_RAW)
    return {
        "label": np.where(hood[:, None] | missing, -1, label).astype(np.int8),
        "depth": np.where(sky | (random.uniform(size=label.shape) < 0.05), 0, np.round(raw)).astype(np.uint16),
    }
