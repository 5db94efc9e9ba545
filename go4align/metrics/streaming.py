"""Numbers over a pass that stay on the device, and are read together, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from go4align.metrics.evaluation import Evaluation, Metric
from go4align.metrics.means import Means


class Streaming(ABC):
    """A few metrics, gathered batch by batch.

    Attributes:
        metrics: what `values` holds, in its order.
    """

    metrics: Sequence[Metric]

    @abstractmethod
    def values(self) -> Tensor:
        """Of everything added so far: float64, on the device, without waiting for it."""

    def compute(self) -> dict[str, float]:
        """The values by the metrics' names; waits for the device."""
        return {metric.name: value for metric, value in zip(self.metrics, self.values().tolist(), strict=True)}


def read_once(losses: Means, names: Sequence[str], parts: Sequence[Streaming]) -> Evaluation:
    """The result of a pass, in one transfer from the device.

    Args:
        losses: of every task.
        names: `task/metric` of everything that `parts` measure, in their order.
        parts: what was measured.
    """
    means = losses.compute()
    found = torch.cat([means, *(part.values().to(means.device) for part in parts)]).tolist()
    return Evaluation(tuple(found[: len(means)]), dict(zip(names, found[len(means) :], strict=True)))
