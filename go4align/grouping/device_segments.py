"""What every segment of sorted values costs, on a device: `go4align.grouping.partitions` in few operations.

A segment is named by the value before it and its last value, entry [last, before]; before the first value is M - 1, as
nothing can begin after the last one. So the end of a group is the name of what is before the next, and no index is
ever shifted.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from go4align.grouping.partitions import TINY


class Segments(NamedTuple):
    """Of M sorted values.

    Attributes:
        costs: [M, M], the sum of squared differences to the mean, infinite for segments that do not exist.
        means: [M, M], each from its last value, so that equal values have just that mean.
    """

    costs: Tensor
    means: Tensor


class SegmentConstants(NamedTuple):
    """[M, M] float64: 1 where the second value is not above the first; 1 where the value is in or after the segment;
    1 / length; length; 0, or infinity for segments that do not exist. [M]: 0, 1, ..., M-1."""

    lower: Tensor
    inside: Tensor
    shares: Tensor
    lengths: Tensor
    forbidden: Tensor
    positions: Tensor


@lru_cache(maxsize=64)
def segment_constants(size: int, device: torch.device) -> SegmentConstants:
    """For M values on a device."""
    positions = torch.arange(size, device="cpu")
    lengths = positions[:, None] - (positions + 1) % size + 1.0
    lengths = lengths.double()
    inside = (lengths > 0).double()
    lower = torch.ones(size, size, dtype=torch.float64, device="cpu").tril()
    forbidden = torch.where(lengths > 0, 0.0, torch.inf).double()
    lengths = lengths.clamp(min=1.0)
    return SegmentConstants(*(c.to(device) for c in (lower, inside, 1 / lengths, lengths, forbidden, positions)))


def segments(ordered: Tensor) -> Segments:
    """For ascending values [..., M] float64; each cost is a sum without a subtraction, as in `partitions`.

    Sums of squares of the differences of all pairs, over the number of values.
    """
    known = segment_constants(ordered.shape[-1], ordered.device)
    pairs = ordered.new_empty(2, *ordered.shape, ordered.shape[-1])
    torch.clamp(ordered[..., :, None] - ordered[..., None, :], min=0.0, out=pairs[0])  # of each, in one order alone
    torch.mul(pairs[0], pairs[0], out=pairs[1])
    sums = torch.matmul(pairs, known.inside)
    costs = torch.addcmul(known.forbidden, torch.matmul(known.lower, sums[1]), known.shares)
    means = torch.addcmul(ordered[..., :, None], sums[0], known.shares, value=-1.0)
    return Segments(costs, means)


def segments_and_misfits(ordered: Tensor, logarithmic: bool) -> tuple[Segments, Tensor]:
    """`segments`, and of each the sum of squared log ratios between the values and their mean.

    Values that are not positive count as the smallest normal number. Of logarithms the costs are just that.
    """
    if logarithmic:
        known = segments(ordered)
        return known, known.costs
    both = segments(torch.stack((ordered, ordered.clamp(min=TINY).log())))
    shifts = both.means[0].clamp(min=TINY).log() - both.means[1]
    lengths = segment_constants(len(ordered), ordered.device).lengths
    return Segments(both.costs[0], both.means[0]), torch.addcmul(both.costs[1], shifts * shifts, lengths)
