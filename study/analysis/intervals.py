"""How sure a mean over seeds is, and a difference of two: intervals, exact tests, and when nothing can be said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from scipy import stats

MIN_SEEDS = 5
"""With fewer, no difference is called decided: four pairs that all agree are as likely as 1 in 8 without any."""

CONFIDENCE = 0.95
_RESAMPLES = 9999
_EXACT = 16
"""Up to so many pairs, all 2^n sign flips are counted."""

Outcome = Literal["better", "worse", "undecided", "identical", "too few seeds"]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its confidence interval.

    Attributes:
        mean: of the values.
        low, high: the interval's ends; NaN where there is one value alone.
        n: how many values.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def includes_zero(self) -> bool:
        """Whether it does; of one value alone, it cannot be told, and it does."""
        return not (self.low > 0 or self.high < 0)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean, and its expanded percentile bootstrap interval (Hesterberg 2015, "What teachers should know about the
    bootstrap", The American Statistician 69:371).

    The plain percentile interval of n values is too narrow by about sqrt((n - 1) / n), and by the normal's quantile in
    place of Student's. The expanded one takes the percentiles that make up for both. It cannot reach beyond the values:
    of normal ones, a 95 % interval from 10 values holds the true mean in 93 of 100 cases, from 5 in 92, from 3 in 76.
    Resamples are seeded: the same values give the same interval.

    Args:
        values: one per seed.
        confidence: the probability that such intervals hold the true mean.
    """
    found = np.asarray(values, float)
    n = len(found)
    mean = float(found.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    if np.ptp(found) == 0:
        return Interval(mean, mean, mean, n)
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1) * math.sqrt(n / (n - 1))
    level = 1 - 2 * stats.norm.sf(quantile)
    means = found[np.random.default_rng(0).integers(n, size=(_RESAMPLES, n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), n)


@dataclass(frozen=True)
class Comparison:
    """Two arms, paired by seed; lower is better.

    Attributes:
        difference: of the first arm less the second, over the seeds that both have.
        probability: that the first is better: the share of seeds in which it is, ties counting half.
        p: of the exact two-sided sign-flip test that the differences are symmetric about zero.
        identical: whether all values of both are the same: two names of one thing, not a tie.
    """

    difference: Interval
    probability: float
    p: float
    identical: bool

    def outcome(self, alpha: float = 1 - CONFIDENCE, p: float | None = None) -> Outcome:
        """What may be said of the first arm.

        Args:
            alpha: the error that is allowed.
            p: corrected for several comparisons, see `holm`; default none: the interval decides.
        """
        if self.identical:
            return "identical"
        if self.difference.n < MIN_SEEDS:
            return "too few seeds"
        if self.difference.includes_zero or (p is not None and p > alpha):
            return "undecided"
        return "better" if self.difference.mean < 0 else "worse"


def compare(first: Mapping[int, float], second: Mapping[int, float]) -> Comparison:
    """Compare two arms by the seeds that both have.

    Args:
        first, second: value by seed, lower is better.
    """
    seeds = sorted(first.keys() & second.keys())
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    probability = float(np.mean((differences < 0) + 0.5 * (differences == 0))) if seeds else math.nan
    identical = bool(seeds) and not differences.any()
    return Comparison(mean_interval(differences.tolist()), probability, sign_flip_p(differences.tolist()), identical)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the hypothesis that differences are symmetric about zero, by flipping their signs.

    All flips up to sixteen differences, so that p is exact, and no less than 2 / 2^n; beyond, 65,536 seeded ones.
    """
    found = np.asarray(differences, float)
    n = len(found)
    if n == 0:
        return math.nan
    if n <= _EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
    else:
        signs = np.random.default_rng(0).choice((1.0, -1.0), size=(2**_EXACT, n))
        signs[0] = 1.0
    sums = np.abs(signs @ found)
    observed = abs(found.sum())
    return float(np.mean(sums >= observed - 1e-12 * np.abs(found).sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm 1979): compare each with the error that is allowed for all."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected.tolist()
