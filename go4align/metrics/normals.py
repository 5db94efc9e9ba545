"""Surface normals: the loss of a batch; the angle between predicted and true direction, over pixels that have one."""

import torch
from torch import Tensor

from go4align.directions import lengths
from go4align.metrics.evaluation import Metric
from go4align.metrics.streaming import Streaming

WITHIN_DEG = (11.25, 22.5, 30.0)
"""The published thresholds."""

METRICS = (
    Metric("mean_deg", "deg"),
    Metric("median_deg", "deg"),
    *(Metric(f"within_{limit:g}", higher_is_better=True) for limit in WITHIN_DEG),
)
"""Angles to the true direction, and the shares of pixels within the published thresholds."""

_BINS = 1_800_000
"""Of the angles' histogram: a ten-thousandth of a degree each, and 14 MB."""


def valid_normal(normals: Tensor) -> Tensor:
    """Where there is a normal, [B, 1, H, W] of [B, 3, H, W]: a zero vector marks pixels without one.

    (Published code asks whether the components sum to zero, which drops (a, -a, 0), too.)
    """
    return normals.square().sum(1, keepdim=True) > 0


def one_minus_cosine(predicted: Tensor, normals: Tensor) -> Tensor:
    """The mean of one minus the cosine of the angle, over pixels with a normal, a scalar; 0 where there are none
    (published code gives NaN).

    Args:
        predicted, normals: [B, 3, H, W], of unit length; zero where there is no normal.
    """
    valid = valid_normal(normals)
    cosine = (predicted * normals).sum(1, keepdim=True)
    return torch.where(valid, 1 - cosine, 0.0).sum() / valid.sum().clamp(min=1)


def angles_deg(predicted: Tensor, normals: Tensor) -> Tensor:
    """The angle between two directions in degrees, [B, H, W] of [B, 3, H, W], of any length but zero.

    From sine and cosine: the arc cosine alone loses all digits of small angles in float32.
    """
    cross = torch.linalg.cross(predicted, normals, dim=1)
    return torch.rad2deg(torch.atan2(lengths(cross)[:, 0], (predicted * normals).sum(1)))


class AngleErrors(Streaming):
    """Angles over a pass, kept as a histogram on the device, so that the median is that of all pixels.

    Args:
        batch_mean: means over batches of each batch's mean, median and shares, as published code has it, instead of
            over all pixels: to compare with published numbers. Batches without a valid pixel do not count either way.
    """

    metrics = METRICS

    def __init__(self, *, batch_mean: bool = False) -> None:
        self._batch_mean = batch_mean
        self._histogram = torch.zeros(_BINS, dtype=torch.int64)
        self._sums = torch.zeros(2 + len(WITHIN_DEG), dtype=torch.float64)
        self._count = torch.zeros((), dtype=torch.float64)

    def update(self, predicted: Tensor, normals: Tensor) -> None:
        """Add a batch: predicted directions and true unit normals [B, 3, H, W]."""
        valid = valid_normal(normals)[:, 0]
        angles = angles_deg(predicted.detach().float(), normals.float())
        places = torch.where(valid, (angles * (_BINS / 180)).long().clamp(0, _BINS - 1), _BINS).view(-1)
        histogram = torch.zeros(_BINS + 1, dtype=torch.int64, device=places.device)
        histogram = histogram.scatter_add_(0, places, torch.ones_like(places))[:-1]
        count = valid.sum().double()
        kept = torch.where(valid, angles, 0.0).double()
        shares = [((angles < limit) & valid).sum().double() for limit in WITHIN_DEG]
        sums = torch.stack([kept.sum(), torch.zeros_like(count), *shares])
        if self._batch_mean:
            sums[1] = _median(histogram) * count
            sums = sums / count.clamp(min=1)
            count = (count > 0).double()
        else:
            self._histogram = self._histogram.to(histogram.device) + histogram
        self._sums = self._sums.to(sums.device) + sums
        self._count = self._count.to(count.device) + count

    def values(self) -> Tensor:
        """NaN without a valid pixel."""
        means = self._sums / self._count
        if not self._batch_mean:
            means[1] = torch.where(self._count > 0, _median(self._histogram), torch.nan)
        return means


def _median(histogram: Tensor) -> Tensor:
    """The median angle in degrees, to the width of a bin; the mean of the middle two of an even number."""
    ends = histogram.cumsum(0)
    count = ends[-1]
    ranks = torch.stack([(count + 1) // 2, count // 2 + 1])
    return (torch.searchsorted(ends, ranks).double() + 0.5).mean() * (180 / _BINS)
