"""How a benchmark is trained unless a study file says otherwise: data only, which `go4align.training` gives meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from go4align.checks import LARGEST, real_number, whole_number

Choice: TypeAlias = str | Mapping[str, Any]
"""A registered name, such as "cosine", or a mapping of `name` and its options: {"name": "step", "every": 100}."""


@dataclass(frozen=True, kw_only=True)
class TrainingProtocol:
    """What papers call the protocol. A study file's `training:` section overrides any field.

    Attributes:
        optimizer: of the network, see `go4align.training.optimizers`.
        schedule: of the learning rate, see `go4align.training.schedules`.
        precision: of training steps, see `go4align.training.precision`.
        selection: what counts as a run's result, and the value it watches, see `go4align.training.selection`.
        clip_norm: gradients of the network are scaled down to this norm where theirs is larger; None never.
        patience: stop after so many epochs without improvement on validation; None never stops early.
    """

    optimizer: Choice = "adam"
    schedule: Choice = "cosine"
    precision: Choice = "float32"
    selection: Choice = "best"
    clip_norm: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.clip_norm is not None:
            object.__setattr__(self, "clip_norm", real_number("clip_norm", self.clip_norm, above=0.0))
        if self.patience is not None:
            whole_number("patience", self.patience, 1, LARGEST, otherwise=" or None (never)")
