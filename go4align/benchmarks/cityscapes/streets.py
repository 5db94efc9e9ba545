"""Generated streets with CityScapes's 7 classes and inverse depth: a road between buildings, seen from a car.

No picture of CityScapes is in them. Labels and inverse depth are those of the geometry, and void where the published
data have nothing: the sky has no depth, nor has what is too near, and the car's own hood has no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.cityscapes.source import CLASSES
from go4align.benchmarks.dense.assembly import WHOLE, Assembly, Part, Things, Triple, some
from go4align.benchmarks.dense.painting import Pattern, painted
from go4align.benchmarks.dense.raycast import Boxes, Cameras, Hits, cast

_PATTERNS = {
    "flat": Pattern("stripes", 3.0, 0.3, saturation=0.3),
    "construction": Pattern("tiles", 1.5, 0.4, saturation=0.3),
    "object": Pattern("stripes", 0.5, 0.7, saturation=0.3),
    "nature": Pattern("noise", contrast=0.7, tint=((0.25, 0.55, 0.15), 0.5)),
    "sky": Pattern(),
    "human": Pattern("stripes", 0.9, 0.5),
    "vehicle": Pattern("frame", contrast=0.5),
}

DISPARITY_M = 498.0
"""Disparity in pixels times depth in metres: CityScapes's baseline of 0.22 m times its focal length of 2,262 px."""
NEAREST_RAW = 32257
"""The largest published disparity: about 4 m. What is nearer has none."""

FOCAL = 1.1
"""In units of a picture's height (1,024 rows and 2,262 px would be 2.2): wider, so that the road's sides are seen."""
_CHUNK = 128
"""Scenes that are made together."""
_HOOD = 0.06
"""Of a picture's height, at its bottom: the car's own hood."""


@dataclass(frozen=True)
class _Thing:
    """A kind of thing that stands on either side.

    Attributes:
        label: its class.
        low, high: from and to which edges (across, up, along), metres.
        aside: from and to how far its inner face is from the road's middle.
        ahead: from and to how far it is before the car.
        share: of streets that have it.
        parts: the boxes that it is made of.
    """

    label: str
    low: Triple
    high: Triple
    aside: tuple[float, float]
    ahead: tuple[float, float]
    share: float
    parts: Sequence[Part] = WHOLE


_TREE = (Part((0, 0.35, 0), (1, 0.65, 1)), Part((0, -0.65, 0), (0.12, 0.35, 0.12)))
_CAR = (Part((0, -0.3, 0), (1, 0.6, 1)), Part((0, 0.62, -0.1), (0.85, 0.38, 0.55)))
_SIGN = (Part((0, -0.25, 0), (0.12, 0.75, 0.5)), Part((0, 0.75, 0), (1, 0.25, 1)))
_PERSON = (Part((0, -0.15, 0), (1, 0.85, 1)), Part((0, 0.85, 0), (0.45, 0.15, 0.6)))

_THINGS = (
    *(_Thing("construction", (8, 5, 10), (16, 20, 18), (6, 11), (6 + z, 12 + z), 0.75) for z in (0, 17, 34, 51, 68)),
    *(_Thing("nature", (2, 3.5, 2), (3.6, 6, 3.6), (4, 6), (7 + z, 14 + z), 0.5, _TREE) for z in (0, 12, 24)),
    *(_Thing("object", (0.2, 4, 0.2), (0.35, 7, 0.35), (4.2, 5), (5 + z, 16 + z), 0.6) for z in (0, 12, 24)),
    *(_Thing("object", (0.8, 2.2, 0.1), (1.2, 3, 0.15), (3.3, 4.2), (6 + z, 14 + z), 0.4, _SIGN) for z in (0, 8)),
    *(_Thing("vehicle", (1.7, 1.4, 3.6), (2, 1.8, 4.8), (0.7, 2.2), (6 + z, 12 + z), 0.65, _CAR) for z in (0, 9, 18)),
    *(_Thing("human", (0.5, 1.6, 0.4), (0.7, 1.9, 0.6), (2.3, 4.7), (5, 18), 0.4, _PERSON) for _ in range(3)),
)


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
    cameras, boxes = seen_streets(n, random)
    hits = cast(cameras, boxes, height, width)
    label = class_of(boxes, hits)
    lamp = np.stack([random.uniform(-60, 60, n), random.uniform(-60, -15, n), random.uniform(-60, 20, n)], -1)
    image = painted([_PATTERNS[name] for name in CLASSES], label, boxes, cameras, hits, lamp.astype(np.float32), random)
    image = np.where((hits.box < 0)[..., None], _sky(n, height, width, random), image)
    return {"image": image, **_measured(label, hits, random)}


def seen_streets(n: int, random: Generator) -> tuple[Cameras, Boxes]:
    """Cameras at the origin, and what is before them: the ground, box 0, and what stands on it."""
    assembly = Assembly(n, CLASSES)
    under = np.tile([0.0, -1.0, 0.0], (n, 1))
    assembly.add("flat", Things(under, np.tile([60.0, 0.5, 200.0], (n, 1)), np.zeros(n), np.ones(n, bool)))
    for thing in _THINGS:
        for side in (-1, 1):
            half = random.uniform(thing.low, thing.high, (n, 3)) / 2
            x = side * (random.uniform(*thing.aside, n) + half[:, 0])
            foot = np.stack([x, np.zeros(n), random.uniform(*thing.ahead, n) + half[:, 2]], -1)
            stands = Things(foot, half, random.normal(0, 0.05, n), some(thing.share, n, random))
            assembly.add(thing.label, stands, thing.parts)
    position = np.stack([random.uniform(-1.5, 1.5, n), random.uniform(1.2, 2.2, n), np.zeros(n)], -1)
    yaw, pitch, roll = (random.uniform(-high, high, n).astype(np.float32) for high in (0.15, 0.06, 0.03))
    return Cameras.looking(position.astype(np.float32), yaw, pitch + 0.03, roll, FOCAL), assembly.boxes()


def class_of(boxes: Boxes, hits: Hits) -> NDArray[np.int8]:
    """Classes [n, H, W]: sky where nothing is."""
    label = boxes.label[np.arange(len(hits.box))[:, None, None], hits.box]
    return np.where(hits.box < 0, CLASSES.index("sky"), label).astype(np.int8)


def _sky(n: int, height: int, width: int, random: Generator) -> NDArray[np.uint8]:
    """Pictures of nothing else: bright, grey to blue."""
    light = random.uniform(0.6, 0.95, (n, 1, 1, 1))
    red = light - random.uniform(0, 0.3, (n, 1, 1, 1))
    haze = np.concatenate([red, (light + red) / 2, light], -1) + random.normal(0, 0.02, (n, height, width, 3))
    return np.round(255 * np.clip(haze, 0, 1)).astype(np.uint8)


def _measured(label: NDArray[np.int8], hits: Hits, random: Generator) -> dict[str, NDArray[Any]]:
    """What annotators and the stereo camera give."""
    height = label.shape[1]
    hood = np.arange(height) >= round(height * (1 - _HOOD))
    no_label = hood[:, None] | (random.uniform(size=label.shape) < 0.02)
    raw = np.round(256 * DISPARITY_M / np.maximum(hits.depth, 1e-3) + 1)
    no_depth = (hits.box < 0) | (raw > NEAREST_RAW) | (random.uniform(size=label.shape) < 0.05)
    return {
        "label": np.where(no_label, -1, label).astype(np.int8),
        "depth": np.where(no_depth, 0, raw).astype(np.uint16),
    }
