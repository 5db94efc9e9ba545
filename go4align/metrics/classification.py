"""Classification with several yes-or-no attributes: the losses of a batch, and the F1 score of each over a pass."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from go4align.metrics.evaluation import Metric
from go4align.metrics.streaming import Streaming

F1 = Metric("f1", higher_is_better=True)


def binary_cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over samples of each attribute's binary cross-entropy, [M].

    From logits: the published loss of a sigmoid's output loses its gradient where that rounds to 0 or 1.

    Args:
        logits, labels: [B, M]; labels are 0 and 1.
    """
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none").mean(0)


class F1Scores(Streaming):
    """True positives, false positives and false negatives of M attributes, on the device, without waiting for it.

    Args:
        names: of the attributes; a metric's name is `attribute/f1`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.metrics = [replace(F1, name=f"{name}/{F1.name}") for name in names]
        self._counts = torch.zeros(3, len(names), dtype=torch.int64)

    def update(self, logits: Tensor, labels: Tensor, labelled: Tensor | None = None) -> None:
        """Add a batch: logits [B, M], labels [B, M] of 0 and 1, and which of them are known (default all).

        An attribute is predicted where its logit is above 0 (a probability of exactly one half is a no).
        """
        known = torch.ones_like(labels, dtype=torch.bool) if labelled is None else labelled
        predicted = (logits.detach() > 0) & known
        actual = (labels > 0) & known
        found = [predicted & actual, predicted & ~actual, ~predicted & actual]
        counts = torch.stack([cells.sum(0) for cells in found])
        self._counts = self._counts.to(counts.device) + counts

    def values(self) -> Tensor:
        """Of every attribute; 0 where there is neither a positive nor a predicted one."""
        hits, wrong, missed = self._counts.double()
        scores: Tensor = 2 * hits / (2 * hits + wrong + missed).clamp(min=1)
        return scores
