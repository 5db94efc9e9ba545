"""Depth: the loss of a batch; absolute and relative error of a pass, over the pixels that have a depth."""

import torch
from torch import Tensor

from go4align.metrics.evaluation import Metric
from go4align.metrics.streaming import Streaming


def valid_depth(depth: Tensor) -> Tensor:
    """Where there is a depth: 0 marks pixels without one."""
    return depth != 0


def l1(predicted: Tensor, depth: Tensor) -> Tensor:
    """The mean absolute error over pixels with a depth, a scalar; 0 where there are none (published code gives NaN).

    Args:
        predicted, depth: [B, 1, H, W], 0 where there is no depth.
    """
    valid = valid_depth(depth)
    error = torch.where(valid, predicted - depth, 0.0).abs()
    return error.sum() / valid.sum().clamp(min=1)


def depth_metrics(unit: str) -> tuple[Metric, ...]:
    """The absolute error in the unit of the depth, and the error relative to the depth, a share."""
    return Metric("abs_err", unit), Metric("rel_err")


class DepthErrors(Streaming):
    """Errors over a pass.

    Args:
        unit: of the depth: "m", or empty for inverse depth.
        batch_mean: a mean over batches of each batch's mean, as published code has it, instead of over all pixels: to
            compare with published numbers. Batches without a valid pixel do not count either way.
    """

    def __init__(self, unit: str = "", *, batch_mean: bool = False) -> None:
        self.metrics = depth_metrics(unit)
        self._batch_mean = batch_mean
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._count = torch.zeros((), dtype=torch.float64)

    def update(self, predicted: Tensor, depth: Tensor) -> None:
        """Add a batch: predictions and depths of one shape, such as [B, 1, H, W]."""
        valid = valid_depth(depth)
        error = torch.where(valid, (predicted.detach() - depth).abs(), 0.0)
        relative = torch.where(valid, error / torch.where(valid, depth, 1.0), 0.0)
        sums = torch.stack([error.sum(dtype=torch.float64), relative.sum(dtype=torch.float64)])
        count = valid.sum().double()
        if self._batch_mean:
            sums = sums / count.clamp(min=1)
            count = (count > 0).double()
        self._sums = self._sums.to(sums.device) + sums
        self._count = self._count.to(count.device) + count

    def values(self) -> Tensor:
        """NaN without a valid pixel."""
        return self._sums / self._count
