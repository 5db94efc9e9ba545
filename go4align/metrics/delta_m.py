"""Multi-task performance relative to single-task learning: Delta m, its median, and the mean rank."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from go4align.errors import UserError


def relative_changes(
    values: Mapping[str, float], reference: Mapping[str, float], higher_is_better: Mapping[str, bool]
) -> dict[str, float]:
    """Per-metric change against a single-task reference, in percent; lower is better.

    100 * (-1)^{higher is better} * (value - reference) / reference, for every metric in `higher_is_better`
    (Maninis et al. 2019, as used by Nash-MTL, FAMO and GO4Align; LibMTL flips the sign).

    Raises:
        UserError: a metric is missing, or a reference is zero.
    """
    changes = {}
    for key, higher in higher_is_better.items():
        for side, table in (("values", values), ("reference", reference)):
            if key not in table:
                raise UserError(f"The {side} must hold the metric '{key}', found {', '.join(table) or 'none'}.")
        if reference[key] == 0:
            raise UserError(f"The reference of '{key}' must not be zero: a relative change against it is undefined.")
        sign = -1.0 if higher else 1.0
        changes[key] = 100.0 * sign * (values[key] - reference[key]) / abs(reference[key])
    return changes


def delta_m(changes: Mapping[str, float]) -> float:
    """Delta m%: the plain mean of the relative changes over all metrics (not first within a task)."""
    return fmean(changes.values())


def median_change(changes: Mapping[str, float]) -> float:
    """The median relative change in percent: unlike Delta m, no single task can dominate it."""
    return median(changes.values())


def ranks(column: Sequence[float], *, higher_is_better: bool = False) -> list[float]:
    """Ranks from 1 (best); ties share the mean of their places."""
    signed = [-value if higher_is_better else value for value in column]
    return [1 + sum(other < value for other in signed) + (signed.count(value) - 1) / 2 for value in signed]


def mean_ranks(table: Mapping[str, Mapping[str, float]], higher_is_better: Mapping[str, bool]) -> dict[str, float]:
    """Mean rank (MR) of each method: the mean over metrics of its rank among the methods of `table`.

    Args:
        table: method -> metric -> value.
        higher_is_better: the metrics to rank on, with their direction.
    """
    methods = list(table)
    columns = [
        ranks([table[method][key] for method in methods], higher_is_better=higher)
        for key, higher in higher_is_better.items()
    ]
    return {method: fmean(column[i] for column in columns) for i, method in enumerate(methods)}
