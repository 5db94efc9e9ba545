"""The optimal split of sorted numbers into intervals, for every number of groups at once, by dynamic programming.

With c(i, j) the within-group sum of squares of the sorted values i..j, the least sum for k groups that end at j is
D_k(j) = min_i D_{k-1}(i-1) + c(i, j) (Bellman 1973; Wang and Song, Ckmeans.1d.dp, The R Journal 2011).

Segment costs are usually taken from prefix sums of x and x^2, whose difference cancels: values that agree to eight
digits are then grouped by rounding noise. Here c(i, j) is the sum of squared differences of all pairs over the number
of values, summed without a subtraction, so each cost is right to a few units in the last place.
"""

from functools import lru_cache
from typing import Any, Generic, NamedTuple

import numpy
import torch

from go4align.arrays import Array, namespace

TINY = float(numpy.finfo(numpy.float64).tiny)


class Partitions(NamedTuple, Generic[Array]):
    """Optimal partitions of M sorted values into 1, 2, ... groups.

    Attributes:
        splits: for k = 2, 3, ...: [M] int, the last value of the first k-1 groups if k groups end at value j. The last
            entry of the list has shape [1]: it knows the split of all M values only.
        sums: for k = 1, 2, ...: the least within-group sum of squares of all M values.
        misfits: the same of another quantity, summed over the groups of the same partitions.
    """

    splits: list[Array]
    sums: list[Array]
    misfits: list[Array]


def optimal_partitions(costs: Array, most: int, misfit: Array | None = None) -> Partitions[Array]:
    """Solve for 1 to `most` groups, none of them empty.

    Args:
        costs: `segment_costs` of the sorted values.
        most: the largest number of groups, 1 to M.
        misfit: [M, M], another quantity of every segment to be summed along the way, or None.
    """
    rows = ends = _constants_like(costs).rows
    best = costs[:, 0]
    tails = costs[:, 1:]
    carried = None if misfit is None else misfit[:, 0]
    found = Partitions([], [best[-1]], [] if carried is None else [carried[-1]])
    for k in range(2, most + 1):
        if k == most:
            ends = ends[-1:]
            tails = tails[-1:]
        totals = tails + best[:-1]
        splits = totals.argmin(1)
        best = totals[rows[: len(ends)], splits]
        found.splits.append(splits)
        found.sums.append(best[-1])
        if misfit is not None and carried is not None:
            carried = carried[splits] + misfit[ends, splits + 1]
            found.misfits.append(carried[-1])
    return found


def segment_costs(ordered: Array) -> Array:
    """[M, M]: entry [j, i] is c(i, j) of ascending (or any) values [M] float64; infinite where i > j."""
    constants = _constants_like(ordered)
    pairs = ordered[:, None] - ordered
    pairs = pairs * pairs * constants.lower
    costs: Array = constants.lower @ pairs @ constants.lower * constants.shares + constants.forbidden
    return costs


def segment_misfits(ordered: Array) -> Array:
    """[M, M]: entry [j, i] is the sum of squared log ratios between the values i..j and their mean.

    It is infinite where i > j. Values that are not positive count as the smallest normal number.
    """
    xp = namespace(ordered)
    constants = _constants_like(ordered)
    logs = xp.log(xp.where(ordered > TINY, ordered, TINY))
    means = (constants.lower * ordered) @ constants.lower * constants.shares
    mean_logs = (constants.lower * logs) @ constants.lower * constants.shares
    shifts = xp.log(xp.where(means > TINY, means, TINY)) - mean_logs
    misfits: Array = segment_costs(logs) + shifts * shifts / constants.shares
    return misfits


class _Constants(NamedTuple, Generic[Array]):
    """[M, M]: 1 where i <= j, else 0; 1 / (length of i..j); 0 where i <= j, else infinity. [M]: 0, 1, ..., M-1."""

    lower: Array
    shares: Array
    forbidden: Array
    rows: Array


def _constants_like(array: Array) -> _Constants[Array]:
    device = array.device if isinstance(array, torch.Tensor) else None
    constants: _Constants[Array] = _constants(len(array), device)
    return constants


@lru_cache(maxsize=64)
def _constants(size: int, device: torch.device | None) -> Any:
    """For torch on a device, or for numpy."""
    rows = numpy.arange(size)
    lengths = rows[:, None] - rows + 1.0
    exists = lengths > 0
    arrays = (exists.astype(float), 1.0 / numpy.maximum(lengths, 1.0), numpy.where(exists, 0.0, numpy.inf), rows)
    if device is None:
        return _Constants(*arrays)
    return _Constants(*(torch.from_numpy(array).to(device) for array in arrays))
