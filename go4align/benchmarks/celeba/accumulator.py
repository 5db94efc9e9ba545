"""One pass over attributes: mean losses, and the F1 score of each."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from go4align.metrics.classification import F1Scores
from go4align.metrics.evaluation import Evaluation
from go4align.metrics.means import Means
from go4align.metrics.streaming import read_once


class AttributeScores:
    """Means over all samples of a pass.

    Args:
        task_names: M attributes.
        losses: gives the mean losses [M] of a batch, as in training.
    """

    def __init__(self, task_names: Sequence[str], losses: Callable[[Any, Any], Tensor]) -> None:
        self._losses_of = losses
        self._losses = Means(len(task_names))
        self._scores = F1Scores(task_names)

    def update(self, outputs: Tensor, batch: Any) -> None:
        """Add a batch: logits [B, M], and a batch with `attributes` [B, M]."""
        self._losses.update(self._losses_of(outputs, batch), len(outputs))
        self._scores.update(outputs, batch.attributes)

    def compute(self) -> Evaluation:
        """Mean losses, and `attribute/f1`."""
        return read_once(self._losses, [metric.name for metric in self._scores.metrics], [self._scores])
