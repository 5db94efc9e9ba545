"""One pass over a dense benchmark: the losses over labelled pixels, and every task's metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from go4align.benchmarks.dense.batch import DenseBatch
from go4align.metrics.depth import DepthErrors, valid_depth
from go4align.metrics.evaluation import Evaluation
from go4align.metrics.means import Means
from go4align.metrics.normals import AngleErrors, valid_normal
from go4align.metrics.segmentation import VOID, ConfusionMatrix
from go4align.metrics.streaming import Streaming, read_once


def valid_pixels(batch: DenseBatch) -> Tensor:
    """[M]: how many pixels of a batch have a target of each task."""
    valid = [batch.labels != VOID, valid_depth(batch.depth)]
    if batch.normals is not None:
        valid.append(valid_normal(batch.normals))
    return torch.stack([pixels.sum() for pixels in valid])


class DenseErrors:
    """Means over all labelled pixels of a pass.

    Args:
        task_names: segmentation, depth and perhaps normals, in this order.
        n_classes: of the segmentation.
        losses: gives the mean losses [M] of a batch, as in training.
        batch_mean: whether depth and angles are means over batches, as in published tables; see `DepthErrors`.
    """

    def __init__(
        self,
        task_names: Sequence[str],
        n_classes: int,
        losses: Callable[[Any, Any], Tensor],
        *,
        batch_mean: bool = False,
    ) -> None:
        self._losses_of = losses
        self._losses = Means(len(task_names))
        self._confusion = ConfusionMatrix(n_classes)
        self._depth = DepthErrors(batch_mean=batch_mean)
        self._angles = AngleErrors(batch_mean=batch_mean) if len(task_names) > 2 else None
        parts = [self._confusion, self._depth, self._angles]
        self._parts: dict[str, Streaming] = dict(zip(task_names, filter(None, parts), strict=True))

    def update(self, outputs: Sequence[Tensor], batch: DenseBatch) -> None:
        """Add a batch: per task [B, channels, H, W]."""
        self._losses.update(self._losses_of(outputs, batch), valid_pixels(batch))
        self._confusion.update(outputs[0], batch.labels)
        self._depth.update(outputs[1], batch.depth)
        if self._angles is not None and batch.normals is not None:
            self._angles.update(outputs[2], batch.normals)

    def compute(self) -> Evaluation:
        """Mean losses, and `task/metric` of every task."""
        names = [f"{task}/{metric.name}" for task, part in self._parts.items() for metric in part.metrics]
        return read_once(self._losses, names, list(self._parts.values()))
