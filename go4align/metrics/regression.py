"""Regression: one number per sample and task, its error averaged over the samples of a pass."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from go4align.metrics.evaluation import Evaluation
from go4align.metrics.means import Means


class MeanAbsoluteErrors:
    """The accumulator of tasks that predict one number each: mean losses, and `task/mae` in reported units.

    For outputs and `batch.targets` of shape [B, M]; every sample weighs the same, whatever the size of its batch.

    Args:
        task_names: M names.
        losses: gives the mean losses [M] of a batch, as in training.
        factor: [M], from a target's unit to the one in which its error is reported; default 1.
        batch_dtype: of the sums within a batch (sums over batches are float64); float32 is enough for small batches.
    """

    def __init__(
        self,
        task_names: Sequence[str],
        losses: Callable[[Any, Any], Tensor],
        *,
        factor: Tensor | None = None,
        batch_dtype: torch.dtype = torch.float64,
    ) -> None:
        n_tasks = len(task_names)
        self._names = tuple(task_names)
        self._losses_of = losses
        self._factor = [1.0] * n_tasks if factor is None else factor.tolist()
        self._batch_dtype = batch_dtype
        self._losses = Means(n_tasks)
        self._error = torch.zeros(n_tasks, dtype=torch.float64)
        self._count = 0

    def update(self, outputs: Tensor, batch: Any) -> None:
        """Add a batch: outputs [B, M] and a batch with `targets` [B, M]."""
        error = (outputs.detach() - batch.targets).abs().sum(0, dtype=self._batch_dtype).double()
        self._error = self._error.to(error.device) + error
        self._losses.update(self._losses_of(outputs, batch), len(outputs))
        self._count += len(outputs)

    def compute(self) -> Evaluation:
        """Mean losses, and the mean absolute error of every task."""
        losses, errors = torch.stack([self._losses.compute(), self._error / self._count]).tolist()
        reported = zip(self._names, errors, self._factor, strict=True)
        return Evaluation(tuple(losses), {f"{name}/mae": error * factor for name, error, factor in reported})
