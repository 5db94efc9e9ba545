"""Generated pictures of coloured figures whose 40 attributes are visible, some of them rare.

No face is in them. Each picture has one large figure, none to four small ones and a background; an attribute tells of
its shape, colour, place, size, number or pattern. Names say what is seen, not what CelebA's attributes are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIZE = 64
"""Pixels of height and width."""

SHAPES = ("disc", "bar", "triangle", "ring")
_SHAPE_SHARES = (0.3, 0.3, 0.22, 0.18)
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")
_COLOUR_SHARES = (0.26, 0.22, 0.2, 0.14, 0.1, 0.08)
_SMALL_SHARES = (0.45, 0.2, 0.35, 0, 0, 0)
_RGB = np.array(
    [[0.9, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.3, 0.9], [0.9, 0.85, 0.2], [0.85, 0.2, 0.85], [0.2, 0.85, 0.85]]
)
_FRAME = np.array([1.0, 0.6, 0.4])
_DUSK = np.array([0.8, 0.3, -0.8])
"""What a graded background adds from its top to its bottom."""
_TINT = np.array([0.15, -0.15, 0.15])
_MOST_SMALL = 4
_CHUNK = 256

ATTRIBUTES = (
    *SHAPES,
    *COLOURS,
    "left",
    "right",
    "above",
    "below",
    "central",
    "in_a_corner",
    "large",
    "small",
    "tilted",
    "striped",
    "dark_background",
    "bright_background",
    "graded_background",
    "tinted_background",
    "with_border",
    "with_small_ones",
    "with_many_small_ones",
    "small_ones_red",
    "small_ones_blue",
    "red_disc",
    "green_bar",
    "blue_or_cyan",
    "round",
    "large_and_striped",
    "small_and_above",
    "left_and_dark",
    "alone_on_bright",
    "angular_and_warm",
    "warm",
    "noisy",
)
"""In the order of the tasks; a colour, a shape and a place are the large figure's."""


@dataclass(frozen=True)
class _Scene:
    """What is in each of n pictures; lengths and places in shares of a picture's side."""

    shape: NDArray[np.int64]
    colour: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]
    tilt: NDArray[np.float64]
    striped: NDArray[np.bool_]
    ground: NDArray[np.float64]
    graded: NDArray[np.bool_]
    tinted: NDArray[np.bool_]
    border: NDArray[np.bool_]
    n_small: NDArray[np.int64]
    small_colour: NDArray[np.int64]
    small_place: NDArray[np.float64]
    noisy: NDArray[np.bool_]


def figures(n: int, seed: int, wrong: float = 0.0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Generated pictures; equal arguments give equal pictures, other seeds other ones.

    Args:
        n: how many.
        seed: of everything random.
        wrong: share of the attributes that an annotator got wrong, each by chance.

    Returns:
        Images [n, 64, 64, 3], and attributes [n, 40] of 0 and 1.
    """
    random = np.random.default_rng([seed, n])
    parts = []
    for start in range(0, n, _CHUNK):
        scene = _drawn(min(_CHUNK, n - start), random)
        parts.append((_painted(scene, random), _attributes(scene)))
    images, attributes = zip(*parts, strict=True)
    errors = random.uniform(size=(n, len(ATTRIBUTES))) < wrong
    found = np.where(errors, 1 - np.concatenate(attributes), np.concatenate(attributes))
    return np.concatenate(images), found.astype(np.uint8)


def _drawn(n: int, random: Generator) -> _Scene:
    def some(share: float) -> NDArray[np.bool_]:
        return random.uniform(size=n) < share

    radius = np.where(some(0.5), random.uniform(0.17, 0.21, n), random.uniform(0.29, 0.36, n))
    return _Scene(
        shape=random.choice(len(SHAPES), n, p=_SHAPE_SHARES),
        colour=random.choice(len(COLOURS), n, p=_COLOUR_SHARES),
        x=random.uniform(0.25, 0.75, n),
        y=random.uniform(0.25, 0.75, n),
        radius=radius,
        tilt=np.where(some(0.4), random.uniform(0.5, 0.8, n), 0.0),
        striped=some(0.3),
        ground=np.where(some(0.5), random.uniform(0.05, 0.3, n), random.uniform(0.6, 0.95, n)),
        graded=some(0.25),
        tinted=some(0.2),
        border=some(0.2),
        n_small=np.where(some(0.45), 0, random.integers(1, _MOST_SMALL + 1, n)),
        small_colour=random.choice(len(COLOURS), n, p=_SMALL_SHARES),
        small_place=random.uniform(0.06, 0.94, (n, _MOST_SMALL, 2)),
        noisy=some(0.2),
    )


def _attributes(scene: _Scene) -> NDArray[np.uint8]:
    """[n, 40], from what is in the pictures."""
    shape = dict(zip(SHAPES, (scene.shape == number for number in range(len(SHAPES))), strict=True))
    colour = dict(zip(COLOURS, (scene.colour == number for number in range(len(COLOURS))), strict=True))
    red, blue = COLOURS.index("red"), COLOURS.index("blue")
    off_x, off_y = np.abs(scene.x - 0.5), np.abs(scene.y - 0.5)
    large = scene.radius > 0.25
    dark = scene.ground < 0.45
    warm = colour["red"] | colour["yellow"] | colour["magenta"]
    round_ = shape["disc"] | shape["ring"]
    several = scene.n_small > 0
    found = {
        **shape,
        **colour,
        "left": scene.x < 0.42,
        "right": scene.x > 0.58,
        "above": scene.y < 0.42,
        "below": scene.y > 0.58,
        "central": (off_x < 0.12) & (off_y < 0.12),
        "in_a_corner": (off_x > 0.13) & (off_y > 0.13),
        "large": large,
        "small": ~large,
        "tilted": (scene.tilt > 0) & ~round_,
        "striped": scene.striped,
        "dark_background": dark,
        "bright_background": ~dark,
        "graded_background": scene.graded,
        "tinted_background": scene.tinted,
        "with_border": scene.border,
        "with_small_ones": several,
        "with_many_small_ones": scene.n_small >= _MOST_SMALL - 1,
        "small_ones_red": several & (scene.small_colour == red),
        "small_ones_blue": several & (scene.small_colour == blue),
        "red_disc": colour["red"] & shape["disc"],
        "green_bar": colour["green"] & shape["bar"],
        "blue_or_cyan": colour["blue"] | colour["cyan"],
        "round": round_,
        "large_and_striped": large & scene.striped,
        "small_and_above": ~large & (scene.y < 0.42),
        "left_and_dark": (scene.x < 0.42) & dark,
        "alone_on_bright": ~several & ~dark,
        "angular_and_warm": ~round_ & warm,
        "warm": warm,
        "noisy": scene.noisy,
    }
    return np.stack([found[name] for name in ATTRIBUTES], axis=1).astype(np.uint8)


def _painted(scene: _Scene, random: Generator) -> NDArray[np.uint8]:
    """[n, 64, 64, 3]."""
    n = len(scene.x)
    along = (np.arange(SIZE) + 0.5) / SIZE
    picture = np.repeat(scene.ground[:, None, None, None], SIZE, 1).repeat(SIZE, 2).repeat(3, 3)
    slope = np.where(scene.graded[:, None], along - 0.5, 0.0)
    picture = picture + slope[:, :, None, None] * _DUSK
    picture[scene.tinted] += _TINT
    x = along[None, None, :] - scene.x[:, None, None]
    y = along[None, :, None] - scene.y[:, None, None]
    for number in range(_MOST_SMALL):
        place = scene.small_place[:, number]
        near = np.hypot(along[None, None, :] - place[:, :1, None], along[None, :, None] - place[:, 1:, None]) < 0.085
        near = near & (scene.n_small > number)[:, None, None]
        picture = np.where(near[..., None], _RGB[scene.small_colour][:, None, None], picture)
    inside = _inside(scene, x, y)
    colour = _RGB[scene.colour][:, None, None]
    stripes = scene.striped[:, None, None] & (np.floor((x + y) * 16) % 2 == 0)
    picture = np.where(inside[..., None], colour * np.where(stripes, 0.35, 1.0)[..., None], picture)
    edge = np.minimum(along, 1 - along) < 0.12
    border = scene.border[:, None, None] & (edge[None, :, None] | edge[None, None, :])
    picture = np.where(border[..., None], _FRAME, picture)
    noise = random.normal(0, 1, (n, SIZE, SIZE, 1)) * np.where(scene.noisy, 0.2, 0.02)[:, None, None, None]
    return np.round(255 * np.clip(picture + noise, 0, 1)).astype(np.uint8)


def _inside(scene: _Scene, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the large figure is, [n, 64, 64], of places relative to its middle."""
    cosine, sine = np.cos(scene.tilt)[:, None, None], np.sin(scene.tilt)[:, None, None]
    u = (cosine * x + sine * y) / scene.radius[:, None, None]
    v = (cosine * y - sine * x) / scene.radius[:, None, None]
    distance = np.hypot(u, v)
    shapes = [
        distance < 1,
        (np.abs(u) < 1) & (np.abs(v) < 0.45),
        (v < 0.8) & (v > 2 * np.abs(u) - 1),
        (distance < 1) & (distance > 0.55),
    ]
    return np.choose(scene.shape[:, None, None], shapes)
