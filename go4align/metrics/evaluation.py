"""What is measured, what one pass over a split gives, and the accumulator that gathers it."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Metric:
    """A measured quantity of a task; `unit` is empty for ratios."""

    name: str
    unit: str = ""
    higher_is_better: bool = False


@dataclass(frozen=True)
class Evaluation:
    """One pass over a split: mean losses [M], in task order, and metrics by `task/metric`."""

    losses: tuple[float, ...]
    metrics: dict[str, float]


class Accumulator(Protocol):
    """Gathers one pass over a split, batch by batch, on the device of the outputs.

    It owns the means: what an entry of the result is an average of (samples, pixels with a label, samples that have the
    task at all) is decided here and nowhere else. `update` never makes the host wait for the device; `compute` does so
    once.
    """

    def update(self, outputs: Any, batch: Any) -> None:
        """Add a batch and what the model gave for it."""
        ...

    def compute(self) -> Evaluation:
        """The means of everything added so far."""
        ...
