"""What a run tells about itself: one record per epoch, plain numbers only, so that it can travel and be stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from go4align.metrics import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from go4align.weighting._engine.base import StepRecord

Row = tuple[float, ...]


@dataclass(frozen=True)
class StepSummary:
    """The steps of one epoch, summarised per task: means over the steps in which it had labels, 0 where it had none.

    Attributes:
        losses: [M], mean training loss.
        weights: [M], mean weight.
        groups: [M], the group (0 = smallest centre) each task was in most often; None without groups.
        centres: [M], mean centre of the group that the task was in; None without groups.
        co_assignment: [M][M], share of the steps in which both had labels that two tasks were in one group; None
            without groups.
    """

    losses: Row
    weights: Row
    groups: tuple[int, ...] | None = None
    centres: Row | None = None
    co_assignment: tuple[Row, ...] | None = None


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a run.

    Attributes:
        epoch: counted from 1.
        lr: learning rate of the network at the epoch's first step.
        wall_s: seconds for training and validation.
        train: summary of the training steps.
        val: evaluation on the validation split after the epoch.
        monitored: the value that selection watches, of this epoch, lower is better.
        best: the selection rule's value so far, which a rung of the search sees: under "best" the lowest `monitored`,
            under "mean_of_last" the mean `monitored` of the last epochs.
        peak_host_mib, peak_device_mib: the most memory that the run has taken so far, where whoever runs it measures
            that; records that differ in nothing else are equal.
    """

    epoch: int
    lr: float
    wall_s: float
    train: StepSummary
    val: Evaluation
    monitored: float
    best: float
    peak_host_mib: float | None = field(default=None, compare=False)
    peak_device_mib: float | None = field(default=None, compare=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Undo `dataclasses.asdict`."""
        return cls(**{**data, "train": StepSummary(**data["train"]), "val": Evaluation(**data["val"])})


class StepRecorder:
    """Collects step records without touching their values, so that a GPU is never waited for within an epoch."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._records: list[StepRecord] = []

    def add(self, losses: Tensor, record: StepRecord) -> None:
        """Add a step: its losses [M] and its record."""
        self._losses.append(losses)
        self._records.append(record)

    def summary(self) -> StepSummary:
        """Summarise all steps so far (one host synchronisation)."""
        import torch

        losses = torch.stack(self._losses).double()
        every = torch.ones_like(losses[0], dtype=torch.bool)
        labelled = [record.labelled for record in self._records]
        there = torch.stack([every if known is None else known.to(every.device) for known in labelled])
        weights = torch.stack([record.weights for record in self._records]).double()
        means = (_row(_mean(losses, there)), _row(_mean(weights, there)))
        grouped = [
            (r.labels, r.centres, known)
            for r, known in zip(self._records, there, strict=True)
            if r.labels is not None and r.centres is not None
        ]
        if not grouped:
            return StepSummary(*means)
        known = torch.stack([known for *_, known in grouped])
        labels = torch.stack([labels for labels, *_ in grouped])
        centres = torch.stack([centres[labels.clamp(min=0)] for labels, centres, _ in grouped])
        both = known[:, :, None] & known[:, None, :]
        together = _mean((labels[:, :, None] == labels[:, None, :]).double(), both)
        counts = torch.stack([(labels == group).sum(0) for group in range(losses.shape[1])])
        return StepSummary(
            *means,
            groups=tuple(counts.argmax(0).tolist()),
            centres=_row(_mean(centres.double(), known)),
            co_assignment=tuple(_row(row) for row in together),
        )


def _mean(values: Tensor, there: Tensor) -> Tensor:
    """Over the first dimension, where there is something; 0 where there is nothing."""
    return values.where(there, 0.0).sum(0) / there.sum(0).clamp(min=1)


def _row(values: Tensor) -> Row:
    return tuple(values.tolist())
