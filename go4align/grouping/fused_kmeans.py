"""Exact one-dimensional K-means on a GPU in one launch, a kernel written in Triton.

What `device_partitions` queues as dozens of operations is one program here. It sorts the values, takes the cost of
every segment, solves for one group more at a time as the host does, stops where `choose_k` would, and writes labels and
centres. Each solution for the first values carries, beside its cost, the misfit and where its groups end, as bits: so
nothing is traced back, everything stays in registers, and no thread reads what another has written to memory.

Matrices are of [last, before], as in `device_segments`; what starts with the first value has no value before it, and is
a vector of its own.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from go4align.checks import GroupCount
from go4align.grouping.choose_k import LARGEST_ERROR, RESOLUTION
from go4align.grouping.partitions import TINY

_RESOLUTION = tl.constexpr(RESOLUTION**2)
_LARGEST_ERROR = tl.constexpr(LARGEST_ERROR)
_TINY = tl.constexpr(TINY)


def fused_kmeans(values: Tensor, n_groups: GroupCount, logarithmic: bool) -> tuple[Tensor, Tensor]:
    """`exact_kmeans` for values [M] float64, M at most `kernels.MOST_TASKS`, without checks.

    Returns:
        Labels [M] and centres [K]; with "auto" centres [M], NaN from K on.
    """
    size = len(values)
    auto = n_groups == "auto"
    labels = torch.empty(size, dtype=torch.int64, device=values.device)
    centres = values.new_empty(size if auto else int(n_groups))
    block = max(2, triton.next_power_of_2(size))
    with torch.cuda.device_of(values):
        _kmeans[(1,)](
            values.contiguous(),
            labels,
            centres,
            size,
            len(centres),
            BLOCK=block,
            AUTO=auto,
            LOGARITHMIC=logarithmic,
            num_warps=max(4, block // 4),
            enable_fp_fusion=False,  # sums that are equal on paper stay equal, so that the earliest split is found
        )
    return labels, centres


@triton.jit(do_not_specialize=["size", "n_centres"])
def _kmeans(
    values_at,
    labels_at,
    centres_at,
    size,
    n_centres,
    BLOCK: tl.constexpr,
    AUTO: tl.constexpr,
    LOGARITHMIC: tl.constexpr,
):
    places = tl.arange(0, BLOCK)
    exists = places < size
    values = tl.load(values_at + places, mask=exists, other=0.0)
    ranks = _ranks(values, places, exists)
    inside = (places[None, :] < places[:, None]) & exists[:, None]
    least, misfits, first_least, first_misfits = _costs(values, ranks, places, inside, AUTO, LOGARITHMIC)
    ends = _solve(least, misfits, first_least, first_misfits, places, size, n_centres, BLOCK, AUTO)
    is_end = ((ends >> places) & 1).to(tl.int32)
    labels = tl.sum(tl.where(places[None, :] < ranks[:, None], is_end[None, :], 0), axis=1)
    tl.store(labels_at + places, labels.to(tl.int64), mask=exists)

    members = (labels[None, :] == places[:, None]) & exists[None, :]
    sizes = tl.sum(members.to(tl.int32), axis=1)
    largest = tl.max(tl.where(members, values[None, :], -float("inf")), axis=1)
    below = tl.sum(tl.where(members, largest[:, None] - values[None, :], 0.0), axis=1)
    centres = tl.where(sizes > 0, largest - below / tl.maximum(sizes, 1), float("nan"))
    tl.store(centres_at + places, centres, mask=places < n_centres)


@triton.jit
def _solve(costs, misfits, first_costs, first_misfits, places, size, n_groups, BLOCK: tl.constexpr, AUTO: tl.constexpr):
    """A word with a bit at the last value of each group but the last, for K groups or for as many as are chosen."""
    best, carried = first_costs, first_misfits
    ends = tl.zeros([BLOCK], tl.int64)
    chosen = tl.full((), 0, tl.int64)
    least_score = tl.full((), float("inf"), tl.float64)
    count = 1
    goes_on = True
    while goes_on:
        if count > 1:
            best, splits = tl.min(costs + best[None, :], axis=1, return_indices=True)
            taken = places[None, :] == splits[:, None]
            ends = tl.sum(tl.where(taken, ends[None, :], 0), axis=1) | (tl.full((), 1, tl.int64) << splits)
            if AUTO:
                carried = tl.sum(tl.where(taken, misfits + carried[None, :], 0.0), axis=1)
        if AUTO:
            resolution = tl.full((), _RESOLUTION, tl.float64)
            error = _at(carried, places, size - 1) / size
            score = count * count * (error + resolution)
            faithful = (error <= tl.full((), _LARGEST_ERROR, tl.float64)) | (count == size)
            better = faithful & (score < least_score)
            least_score = tl.where(better, score, least_score)
            chosen = tl.where(better, _at(ends, places, size - 1), chosen)
            goes_on = (count < size) & ((count + 1) * (count + 1) * resolution < least_score)
        else:
            goes_on = count < n_groups
        count += 1
    if not AUTO:
        chosen = _at(ends, places, size - 1)
    return chosen


@triton.jit
def _costs(values, ranks, places, inside, AUTO: tl.constexpr, LOGARITHMIC: tl.constexpr):
    """The costs and misfits of all segments, infinite or anything where none is, and of those from the first value."""
    lengths = tl.maximum(places[:, None] - places[None, :], 1).to(tl.float64)
    first_lengths = (places + 1).to(tl.float64)
    costs, means, first_costs, first_means = _segments(values, ranks, places, inside, lengths, first_lengths)
    misfits, first_misfits = costs, first_costs
    if AUTO and not LOGARITHMIC:
        tiny = tl.full((), _TINY, tl.float64)
        logs = tl.log(tl.maximum(values, tiny))
        misfits, mean_logs, first_misfits, first_mean_logs = _segments(
            logs, ranks, places, inside, lengths, first_lengths
        )
        shifts = tl.log(tl.maximum(means, tiny)) - mean_logs
        first_shifts = tl.log(tl.maximum(first_means, tiny)) - first_mean_logs
        misfits += shifts * shifts * lengths
        first_misfits += first_shifts * first_shifts * first_lengths
    return tl.where(inside, costs, float("inf")), misfits, first_costs, first_misfits


@triton.jit
def _segments(values, ranks, places, inside, lengths, first_lengths):
    """The sum of squared differences to the mean, and the mean, of all segments and of those from the first value.

    As in `device_segments`: from the differences of all pairs, whose squares are summed without a subtraction, and from
    those to a segment's last value.
    """
    ordered = _ordered(values, ranks, places)
    apart = tl.where(inside, ordered[:, None] - _ordered(values, ranks, places + 1)[None, :], 0.0)
    squares = apart * apart
    from_first = ordered - _at(ordered, places, 0)
    first_sums = tl.cumsum(tl.sum(squares, axis=1) + from_first * from_first, axis=0)
    first_means = ordered - (tl.sum(apart, axis=1) + from_first) / first_lengths
    sums = tl.cumsum(tl.cumsum(squares, axis=1, reverse=True), axis=0)
    means = ordered[:, None] - tl.cumsum(apart, axis=1, reverse=True) / lengths
    return sums / lengths, means, first_sums / first_lengths, first_means


@triton.jit
def _ranks(values, places, exists):
    """The place of each value in ascending order, of equal ones the earlier first; its own where none is."""
    earlier = (values[None, :] == values[:, None]) & (places[None, :] < places[:, None])
    before = (values[None, :] < values[:, None]) | earlier
    return tl.where(exists, tl.sum((before & exists[None, :]).to(tl.int32), axis=1), places)


@triton.jit
def _ordered(values, ranks, places):
    """The values that have these ranks, 0 where none has."""
    return tl.sum(tl.where(ranks[None, :] == places[:, None], values[None, :], 0.0), axis=1)


@triton.jit
def _at(vector, places, place):
    """The entry at a place, a scalar."""
    return tl.sum(tl.where(places == place, vector, 0), axis=0)
