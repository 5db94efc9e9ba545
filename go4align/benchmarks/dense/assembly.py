"""Putting scenes together: things of one or more boxes, for many scenes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from go4align.benchmarks.dense.raycast import Boxes

Numbers = NDArray[np.float64]
Triple = tuple[float, float, float]
"""Across, up and along: a thing's own x, y and z."""


@dataclass(frozen=True)
class Part:
    """A box of a thing, in halves of the thing's edges: from -1 to 1 in each direction.

    Attributes:
        centre, half: where it is, and half of its edges.
        label: its class, where that is not the thing's.
    """

    centre: Triple
    half: Triple
    label: str = ""


WHOLE = (Part((0, 0, 0), (1, 1, 1)),)


@dataclass(frozen=True)
class Things:
    """A thing in each of n scenes.

    Attributes:
        foot: [n, 3], the middle of its underside, metres.
        half: [n, 3], half of its edges, metres.
        yaw: [n], its turn about the vertical, radians.
        there: [n], whether a scene has it.
    """

    foot: Numbers
    half: Numbers
    yaw: Numbers
    there: NDArray[np.bool_]

    def at(self, x: Numbers, y: Numbers, z: Numbers) -> Numbers:
        """Points [n, 3] of the world, given in halves of the thing's edges."""
        right = x * self.half[:, 0]
        ahead = z * self.half[:, 2]
        cosine = np.cos(self.yaw)
        sine = np.sin(self.yaw)
        turned = [cosine * right + sine * ahead, (1 + y) * self.half[:, 1], cosine * ahead - sine * right]
        return self.foot + np.stack(turned, -1)

    def on_top(self, edges: Triple, random: Generator) -> Things:
        """Somewhere on it, something smaller."""
        n = len(self.foot)
        foot = self.at(random.uniform(-0.6, 0.6, n), np.ones(n), random.uniform(-0.5, 0.5, n))
        return Things(foot, halves(edges, n, random), self.yaw + random.normal(0, 0.2, n), self.there)


class Assembly:
    """Collects the boxes of n scenes.

    Args:
        n: scenes.
        classes: names of the classes, in the order of their numbers.
    """

    def __init__(self, n: int, classes: Sequence[str]) -> None:
        self._n = n
        self._numbers: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
        self._boxes: list[tuple[Numbers, Numbers, Numbers, NDArray[np.bool_], int]] = []

    def add(self, label: str, things: Things, parts: Sequence[Part] = WHOLE) -> None:
        """The boxes that things are made of."""
        for part in parts:
            centre = things.at(*(np.full(self._n, place) for place in part.centre))
            number = self._numbers[part.label or label]
            self._boxes.append((centre, things.half * part.half, things.yaw, things.there, number))

    def boxes(self) -> Boxes:
        """All that was added, in the order in which it was."""
        centre, half, yaw, there, label = zip(*self._boxes, strict=True)
        return Boxes(
            centre=np.stack(centre, 1).astype(np.float32),
            half=np.stack(half, 1).astype(np.float32),
            yaw=np.stack(yaw, 1).astype(np.float32),
            there=np.stack(there, 1),
            label=np.tile(label, (self._n, 1)),
        )


def halves(edges: Triple, n: int, random: Generator) -> Numbers:
    """Half of edges [n, 3] that differ by up to a quarter from scene to scene."""
    return np.array(edges) / 2 * random.uniform(0.8, 1.25, (n, 3))


def some(share: float, n: int, random: Generator) -> NDArray[np.bool_]:
    """[n], true for a share of the scenes."""
    return random.uniform(size=n) < share
