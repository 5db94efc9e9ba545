"""Options of the dense benchmarks that hold several values: checked here, with one line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from go4align.checks import LARGEST, mapping, real_number, whole_number
from go4align.errors import UserError, unknown_name
from go4align.models.base import MultiTaskModel
from go4align.models.mtan import MTAN
from go4align.models.segnet import Output, SegNet

NETWORKS: Mapping[str, Any] = {"mtan": MTAN, "segnet": SegNet}
"""By name: with attention for each task, which the papers train; plain, whose single-task numbers are published."""

_SMALLEST = 32
"""Pixels: five levels halve a picture five times."""
_LARGEST_SIDE = 4096
_WIDEST = 16.0


@dataclass(frozen=True)
class Network:
    """Which network, and how wide.

    Attributes:
        name: one of `NETWORKS`.
        width: factor of all channels; 1 as published.
    """

    name: str = "mtan"
    width: float = 1.0

    @classmethod
    def of(cls, found: Mapping[str, Any] | None) -> Network:
        """Checked."""
        chosen = cls(**_known("network", mapping("network", found), cls))
        if chosen.name not in NETWORKS:
            raise unknown_name("network", chosen.name, NETWORKS)
        real_number("network.width", chosen.width, above=0.0, high=_WIDEST)
        return chosen

    def build(self, outputs: Sequence[tuple[Output, int]]) -> MultiTaskModel:
        """A freshly initialised one with a head for each output."""
        model: MultiTaskModel = NETWORKS[self.name](outputs, self.width)
        return model


@dataclass(frozen=True)
class Generated:
    """Generated scenes: how many, how large, and which.

    Attributes:
        train_size, val_size, test_size: scenes of each split.
        height, width: pixels.
        seed: other scenes for another one.
    """

    train_size: int = 240
    val_size: int = 60
    test_size: int = 60
    height: int = 32
    width: int = 48
    seed: int = 0

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Generated:
        """Checked."""
        chosen = cls(**_known("generated", mapping("generated", found), cls))
        for name in ("train_size", "val_size", "test_size"):
            whole_number(f"generated.{name}", getattr(chosen, name), 1, 100_000)
        for name in ("height", "width"):
            whole_number(f"generated.{name}", getattr(chosen, name), _SMALLEST, _LARGEST_SIDE)
        whole_number("generated.seed", chosen.seed, 0, LARGEST)
        return chosen


def picture_size(found: Any) -> tuple[int, int] | None:
    """[height, width], or None."""
    if found is None:
        return None
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != 2:
        raise UserError(f"`size` must be [height, width] in pixels, or null, found {found!r}.")
    height, width = (whole_number("size", side, _SMALLEST, _LARGEST_SIDE) for side in found)
    return height, width


def _known(option: str, found: dict[str, Any], cls: Any) -> dict[str, Any]:
    known = [field.name for field in fields(cls)]
    for key in found:
        if key not in known:
            raise unknown_name(f"option of `{option}`", key, known)
    return found
