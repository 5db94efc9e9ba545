"""The optimal split of sorted numbers into intervals, for every number of groups at once, by dynamic programming.

With c(i, j) the within-group sum of squares of the sorted values i..j, the least sum for k groups that end at j is
D_k(j) = min_i D_{k-1}(i-1) + c(i, j) (Bellman 1973; Wang and Song, Ckmeans.1d.dp, The R Journal 2011).

Segment costs are usually taken from prefix sums of x and x^2, whose difference cancels: values that agree to eight
digits are then grouped by rounding noise. Here c(i, j) is the sum of squared differences of all pairs over the number
of values, summed without a subtraction, so each cost is right to a few units in the last place.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy

from go4align.arrays import Indices, Matrix, Vector

TINY = float(numpy.finfo(numpy.float64).tiny)


class Partitions(NamedTuple):
    """Optimal partitions of M sorted values into 1, 2, ... groups.

    Attributes:
        splits: for k = 2, 3, ...: [M] int, the last value of the first k-1 groups if k groups end at value j. The last
            entry of the list has shape [1]: it knows the split of all M values only.
        sums: for k = 1, 2, ...: the least within-group sum of squares of all M values.
    """

    splits: list[Indices]
    sums: list[float]


def optimal_partitions(costs: Matrix, most: int) -> Partitions:
    """Solve for 1 to `most` groups, none of them empty.

    Args:
        costs: `segment_costs` of the sorted values.
        most: the largest number of groups, 1 to M.
    """
    rows = _constants(len(costs)).rows
    best = costs[:, 0]
    tails = costs[:, 1:]
    found = Partitions([], [best[-1]])
    for k in range(2, most + 1):
        if k == most:
            rows = rows[:1]
            tails = tails[-1:]
        totals = tails + best[:-1]
        splits = totals.argmin(1)
        best = totals[rows, splits]
        found.splits.append(splits)
        found.sums.append(best[-1])
    return found


def chosen_splits(costs: Matrix, misfit: Matrix, goes_on: Callable[[float], bool]) -> list[Indices]:
    """The `splits` of `optimal_partitions`, each of shape [M], for one group more at a time as long as wanted.

    Args:
        costs: `segment_costs` of the sorted values.
        misfit: [M, M], another quantity of every segment.
        goes_on: is told its sum over the groups of all M values, for one group, two, ...; whether to solve for more.
    """
    constants = _constants(len(costs))
    best = costs[:, 0]
    carried = misfit[:, 0]
    tails = numpy.ascontiguousarray(costs[:, 1:])
    misfit_tails = numpy.ascontiguousarray(misfit[:, 1:])
    totals = numpy.empty_like(tails)
    found: list[Indices] = []
    while goes_on(float(carried[-1])):
        numpy.add(tails, best[:-1], out=totals)
        splits = totals.argmin(1)
        places = splits + constants.row_starts
        best = totals.take(places)
        carried = carried.take(splits) + misfit_tails.take(places)
        found.append(splits)
    return found


def segment_costs(ordered: Vector) -> Matrix:
    """[M, M]: entry [j, i] is c(i, j) of ascending (or any) values [M]; infinite where i > j."""
    constants = _constants(len(ordered))
    pairs = ordered[:, None] - ordered
    pairs = pairs * pairs * constants.lower
    costs: Matrix = constants.lower @ pairs @ constants.lower * constants.shares + constants.forbidden
    return costs


def segment_misfits(ordered: Vector) -> Matrix:
    """[M, M]: entry [j, i] is the sum of squared log ratios between the values i..j and their mean.

    It is infinite where i > j. Values that are not positive count as the smallest normal number.
    """
    constants = _constants(len(ordered))
    logs = numpy.log(numpy.maximum(ordered, TINY))
    means = (constants.lower * ordered) @ constants.lower * constants.shares
    mean_logs = (constants.lower * logs) @ constants.lower * constants.shares
    shifts = numpy.log(numpy.maximum(means, TINY)) - mean_logs
    misfits: Matrix = segment_costs(logs) + shifts * shifts / constants.shares
    return misfits


class _Constants(NamedTuple):
    """[M, M]: 1 where i <= j, else 0; 1 / (length of i..j); 0 where i <= j, else infinity. [M]: 0, 1, ..., M-1; and
    where the rows of a matrix [M, M-1] start."""

    lower: Matrix
    shares: Matrix
    forbidden: Matrix
    rows: Indices
    row_starts: Indices


@lru_cache(maxsize=64)
def _constants(size: int) -> _Constants:
    rows = numpy.arange(size)
    lengths = rows[:, None] - rows + 1.0
    exists = lengths > 0
    forbidden = numpy.where(exists, 0.0, numpy.inf)
    return _Constants(exists.astype(float), 1.0 / numpy.maximum(lengths, 1.0), forbidden, rows, rows * (size - 1))
