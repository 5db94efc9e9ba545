"""How one run is trained: epochs, batch size, optimiser, schedule and early stopping."""

from dataclasses import dataclass
from typing import Literal

from go4align.errors import UserError


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
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size), ("patience", self.patience)):
            if value is not None and value < 1:
                raise UserError(f"`{name}` must be at least 1, found {value}.")
        if not 0 < self.lr < float("inf"):
            raise UserError(f"`lr` must be a positive finite number, found {self.lr}.")
