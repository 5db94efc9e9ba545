"""How one run is trained: its benchmark's protocol, and epochs, batch size and learning rate."""

from dataclasses import dataclass

from go4align.benchmarks.protocol import TrainingProtocol
from go4align.checks import flag, real_number, whole_number
from go4align.errors import UserError
from go4align.training.choices import chosen, written
from go4align.training.optimizers import OPTIMIZERS, OptimizerChoice
from go4align.training.precision import PRECISIONS, Precision
from go4align.training.schedules import SCHEDULES, Schedule
from go4align.training.selection import SELECTIONS, Selection

_MOST = 10**9
"""Epochs, or samples of a batch: further than any run gets."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(TrainingProtocol):
    """All of a run's protocol; every field may be named in the `training:` section of a study file.

    Choices are kept in one form, however they were written: a name where all its options are at their defaults, else a
    mapping of name and options. So equal options compare equal, and have one hash.

    Attributes:
        epochs: most epochs to train.
        batch_size: samples per step.
        lr: learning rate of the network; a weighting's own parameters bring their own.
        compile: whether `torch.compile` makes encoder and heads quicker. Results differ by rounding; a method that
            compares gradients may refuse a compiled network, which is said in its first step.
        channels_last: whether the network's convolutions keep their channels last in memory, which GPUs with tensor
            cores are quicker at. Results differ by rounding.
        processes: how many train together, each with its share of every batch, which they must divide evenly: the same
            step but for rounding (BatchNorm sees the process's share alone). Samples that are left over at the end of
            an epoch, fewer than a batch, take no part in it.

    Raises:
        UserError: an unknown name, a value out of range, or an option that would have no effect beside the others.
    """

    epochs: int
    batch_size: int
    lr: float
    compile: bool = False
    channels_last: bool = False
    processes: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("epochs", self.epochs, 1, _MOST)
        whole_number("batch_size", self.batch_size, 1, _MOST)
        object.__setattr__(self, "lr", real_number("lr", self.lr, above=0.0))  # 1 is kept as 1.0
        whole_number("processes", self.processes, 1, _MOST)
        if self.batch_size % self.processes:
            raise UserError(
                f"`batch_size` must be a multiple of `processes` ({self.processes}), found {self.batch_size}."
            )
        flag("compile", self.compile)
        flag("channels_last", self.channels_last)
        for kind, known in _KINDS.items():
            object.__setattr__(self, kind, written(kind, getattr(self, kind), known))
        self.schedule_rule.check(self.epochs)
        self.selection_rule.check(self.epochs, self.patience)

    @property
    def optimizer_rule(self) -> OptimizerChoice:
        return chosen("optimizer", self.optimizer, OPTIMIZERS)

    @property
    def schedule_rule(self) -> Schedule:
        return chosen("schedule", self.schedule, SCHEDULES)

    @property
    def precision_rule(self) -> Precision:
        return chosen("precision", self.precision, PRECISIONS)

    @property
    def selection_rule(self) -> Selection:
        return chosen("selection", self.selection, SELECTIONS)


_KINDS: dict[str, dict[str, type]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "selection": SELECTIONS,
}
