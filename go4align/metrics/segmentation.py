"""Segmentation: the loss of a batch; mIoU and pixel accuracy from one confusion matrix per pass."""

import torch
from torch import Tensor
from torch.nn import functional as F

from go4align.metrics.evaluation import Metric
from go4align.metrics.streaming import Streaming

METRICS = (Metric("miou", higher_is_better=True), Metric("pixel_acc", higher_is_better=True))
"""The mean intersection over union of the classes, and the share of pixels whose class is right."""

VOID = -1
"""The label of pixels that count nowhere."""


def cross_entropy(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """The mean over labelled pixels of the negative log-probability of their class, a scalar; 0 where there are none
    (published code gives NaN).

    Args:
        log_probabilities: [B, C, H, W], normalised over C.
        labels: [B, H, W] int64, `VOID` where there is none.
    """
    total = F.nll_loss(log_probabilities, labels, ignore_index=VOID, reduction="sum")
    return total / (labels != VOID).sum().clamp(min=1)


class ConfusionMatrix(Streaming):
    """Counts [C, C] over a pass, rows are targets and columns predictions; on the device, without waiting for it.

    Args:
        n_classes: C.
    """

    metrics = METRICS

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.counts = torch.zeros(n_classes, n_classes, dtype=torch.int64)

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add a batch: scores [B, C, H, W], labels [B, H, W] with `VOID` where there is none."""
        predicted = scores.detach().argmax(1)
        # void pixels fall into a bin behind the matrix: leaving them out would have the host count them
        cells = torch.where(labels == VOID, self.n_classes**2, labels.long() * self.n_classes + predicted)
        counts = torch.zeros(self.n_classes**2 + 1, dtype=torch.int64, device=cells.device)
        counts.scatter_add_(0, cells.view(-1), torch.ones_like(cells).view(-1))
        self.counts = self.counts.to(cells.device) + counts[:-1].view(self.n_classes, -1)

    def values(self) -> Tensor:
        """Over the classes that targets or predictions have (official code gives NaN where a class has neither). NaN
        without a labelled pixel."""
        counts = self.counts.double()
        hits = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - hits
        overlap = torch.where(union > 0, hits / union, torch.nan)
        return torch.stack([overlap.nanmean(), hits.sum() / counts.sum()])
