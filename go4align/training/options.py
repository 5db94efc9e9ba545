"""How one run is trained: epochs, batch size, optimiser, schedule and early stopping."""

from dataclasses import dataclass
from typing import Literal, get_args

from go4align.checks import choice, real_number, whole_number

Schedule = Literal["cosine", "plateau", "constant"]
_MOST = 10**9
"""Epochs, or samples of a batch: further than any run gets."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Adam with a schedule; every field may be named in the `training:` section of a study file.

    Attributes:
        epochs: most epochs to train.
        batch_size: samples per step.
        lr: learning rate of Adam for the network; a weighting's own parameters bring their own.
        schedule: "cosine" anneals to zero over all steps; "plateau" multiplies by 0.7 after 5 epochs without
            improvement on validation, down to 1e-5 (the published QM9 protocol); "constant" leaves it.
        patience: stop after so many epochs without improvement on validation; None never stops early.
    """

    epochs: int
    batch_size: int
    lr: float
    schedule: Schedule = "cosine"
    patience: int | None = None

    def __post_init__(self) -> None:
        whole_number("epochs", self.epochs, 1, _MOST)
        whole_number("batch_size", self.batch_size, 1, _MOST)
        object.__setattr__(self, "lr", real_number("lr", self.lr, above=0.0))  # 1 is kept as 1.0
        choice("schedule", self.schedule, dict.fromkeys(get_args(Schedule)))
        if self.patience is not None:
            whole_number("patience", self.patience, 1, _MOST, otherwise=" or None (never)")
