"""What surfaces look like: colours drawn for each box, patterns that tell classes, and light.

Colours say nothing of depth or direction, and little of class: they are drawn anew for every box. Classes show in their
patterns, shapes and places; depth in the size of patterns; directions in how they run and in the light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.dense.raycast import Boxes, Cameras, Floats, Hits

Kind = Literal["plain", "tiles", "stripes", "noise", "frame", "screen"]

_AMBIENT = 0.35
"""Of the light: what a surface has that faces away from the lamp."""
_FRAME = 0.75
"""Where a frame begins, from a face's middle at 0 to its edge at 1."""


@dataclass(frozen=True)
class Pattern:
    """How a class is painted.

    Attributes:
        kind: plain; tiles or stripes of two shades; noise from pixel to pixel; a dark frame around a plain middle, or a
            dark screen in a plain frame.
        period_m: of tiles and stripes, metres.
        contrast: between the shades, a share.
        saturation: how colourful, from grey at 0 to anything at 1.
        tint: a colour that a class tends to, and how much, a share.
    """

    kind: Kind = "plain"
    period_m: float = 0.5
    contrast: float = 0.35
    saturation: float = 1.0
    tint: tuple[tuple[float, float, float], float] = ((0.0, 0.0, 0.0), 0.0)


def painted(
    patterns: Sequence[Pattern],
    label: NDArray[np.int8],
    boxes: Boxes,
    cameras: Cameras,
    hits: Hits,
    light: Floats,
    random: Generator,
) -> NDArray[np.uint8]:
    """Pictures [n, H, W, 3] of what was hit.

    Args:
        patterns: of each class.
        label: [n, H, W], the class of each pixel; black where there is none.
        boxes, cameras, hits: what was seen.
        light: [n, 3], where a lamp is, in the camera's frame, metres.
        random: draws colours and noise.
    """
    scene = np.arange(len(hits.box))[:, None, None]
    faces = random.uniform(0.25, 0.95, (*boxes.label.shape, 6, 3)).astype(np.float32)
    faces = 0.4 * faces + 0.6 * faces[:, :, :1]  # a box's faces resemble each other
    far = np.take_along_axis(hits.place, hits.axis[..., None], -1)[..., 0] > 0
    base = faces[scene, hits.box, 2 * hits.axis + far]
    grey = base.mean(-1, keepdims=True)
    shade = np.zeros(hits.box.shape, np.float32)
    for number, pattern in enumerate(patterns):
        chosen = label == number
        if not chosen.any():
            continue
        shade = np.where(chosen, 1 - pattern.contrast * _dark(pattern, boxes, hits, random), shade)
        tint, share = pattern.tint
        painted = (1 - share) * (grey + pattern.saturation * (base - grey)) + share * np.array(tint, np.float32)
        base = np.where(chosen[..., None], painted, base)
    lit = base * (shade * _light(cameras, hits, light))[..., None]
    lit = lit + random.normal(0, 0.02, lit.shape)
    return np.round(255 * np.clip(lit, 0, 1)).astype(np.uint8)


def _dark(pattern: Pattern, boxes: Boxes, hits: Hits, random: Generator) -> Floats:
    """Where a pattern is dark, from 0 to 1, [n, H, W]."""
    if pattern.kind == "plain":
        return np.zeros(hits.box.shape, np.float32)
    if pattern.kind == "noise":
        return random.uniform(0, 1, hits.box.shape).astype(np.float32)
    first = np.take_along_axis(hits.place, ((hits.axis + 1) % 3)[..., None], -1)[..., 0]
    second = np.take_along_axis(hits.place, ((hits.axis + 2) % 3)[..., None], -1)[..., 0]
    if pattern.kind in ("frame", "screen"):
        scene = np.arange(len(hits.box))[:, None, None]
        half = boxes.half[scene, hits.box]
        across = [
            np.abs(place) / np.take_along_axis(half, ((hits.axis + step) % 3)[..., None], -1)[..., 0]
            for step, place in ((1, first), (2, second))
        ]
        in_frame = np.maximum(*across) > _FRAME
        return (in_frame if pattern.kind == "frame" else ~in_frame).astype(np.float32)
    cells = np.floor(first / pattern.period_m)
    if pattern.kind == "tiles":
        cells = cells + np.floor(second / pattern.period_m)
    dark: Floats = (cells % 2).astype(np.float32)
    return dark


def _light(cameras: Cameras, hits: Hits, light: Floats) -> Floats:
    """How bright each surface is, [n, H, W]: by the angle to the lamp, and a little everywhere."""
    height, width = hits.box.shape[1:]
    depth = np.where(np.isfinite(hits.depth), hits.depth, 1)[..., None]
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    focal = cameras.focal * height
    plane = np.stack([(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones_like(rows)], axis=-1)
    to_lamp = light[:, None, None] - depth * plane.astype(np.float32)
    cosine = (to_lamp * hits.normal).sum(-1) / np.maximum(np.linalg.norm(to_lamp, axis=-1), 1e-6)
    bright: Floats = (_AMBIENT + (1 - _AMBIENT) * np.clip(cosine, 0, 1)).astype(np.float32)
    return bright
