r"""`n_groups="auto"`: the number of groups from the within-group sums of every K, in one step instead of M trainings.

A group's weight stands for its members' indicators, so the error that grouping makes for a task is the factor between
the two. For K groups let S_K be the within-group sum of squared log ratios log(indicator / weight) of the K-means
partition (where the logarithm is clustered this is exactly the sum that K-means minimises), and e_K = S_K / M. Then

    K = argmin of K^2 * (e_K + RESOLUTION^2)   over all K with sqrt(e_K) <= log(WORST_FACTOR), and K = M.

- K^2 * (within-group sum) is Marriott's criterion (Biometrics 27, 1971): the sum of an evenly spread sample falls as
  1/K^2, so only gaps between groups, not mere spread, pay for a further group.
- RESOLUTION is the relative difference that is not worth a group: equal tasks, or tasks that differ by a few percent,
  make one group, and K is not driven to M by the last digits.
- WORST_FACTOR keeps the weights faithful. On the linear scale K-means spends its groups on the largest indicators and
  may leave a task whose indicator is a thousand times smaller with its neighbours, so that it rules the training. The
  linear sums do not see that, the log ratios do. On QM9 in its own units the rule gives 9 groups for 11 tasks.

Smallest K wins a tie. M = 1 gives 1; all-equal indicators give 1; two tasks share a group if they differ by less than
about a quarter.
"""

import math

from go4align.arrays import Array, namespace

RESOLUTION = 0.07
"""Relative difference of indicators that is not worth a group."""
WORST_FACTOR = 2.0
"""Largest accepted factor (root mean square over tasks) between a task's indicator and its weight."""


def choose_k(misfits: Array, n_tasks: int) -> Array:
    """Return the number of groups, a 0-dimensional int array.

    Args:
        misfits: S_K for K = 1, 2, ..., up to M or `most_groups`.
        n_tasks: number of tasks M.
    """
    xp = namespace(misfits)
    counts = xp.cumsum(xp.ones_like(misfits), 0)
    errors = misfits / n_tasks
    faithful = (errors <= math.log(WORST_FACTOR) ** 2) | (counts == n_tasks)
    scores = xp.where(faithful, counts**2 * (errors + RESOLUTION**2), math.inf)
    best: Array = scores.argmin() + 1
    return best


def most_groups(misfit_of_one: float, n_tasks: int) -> int:
    """Return a K that the rule cannot exceed, from S_1 alone: it spares work, never changes the choice."""
    error = misfit_of_one / n_tasks
    if error > math.log(WORST_FACTOR) ** 2:
        return n_tasks
    return min(n_tasks, math.ceil(math.sqrt(error + RESOLUTION**2) / RESOLUTION))
