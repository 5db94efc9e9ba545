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

import torch
from torch import Tensor

RESOLUTION = 0.07
"""Relative difference of indicators that is not worth a group."""
WORST_FACTOR = 2.0
"""Largest accepted factor (root mean square over tasks) between a task's indicator and its weight."""
LARGEST_ERROR = math.log(WORST_FACTOR) ** 2


def choose_k(misfits: Tensor) -> Tensor:
    """Return the number of groups less one, a 0-dimensional int tensor; nothing waits for it.

    Args:
        misfits: [M], S_K for K = 1, ..., M.
    """
    counts = torch.arange(1, len(misfits) + 1, dtype=misfits.dtype, device=misfits.device)
    errors = misfits / len(misfits)
    faithful = (errors <= LARGEST_ERROR) | (counts == len(misfits))
    scores = torch.where(faithful, counts**2 * (errors + RESOLUTION**2), math.inf)
    return scores.argmin()


class Choice:
    """The same rule for sums that are told one by one, from K = 1 on, until no larger K can win.

    Attributes:
        best: the number of groups.
    """

    def __init__(self, n_tasks: int) -> None:
        self.best = n_tasks
        self._n_tasks = n_tasks
        self._seen = 0
        self._score = math.inf

    def goes_on(self, misfit: float) -> bool:
        """Take in S_K of the next K; returns whether a larger one may win."""
        self._seen += 1
        error = misfit / self._n_tasks
        score = self._seen**2 * (error + RESOLUTION**2)
        if score < self._score and (error <= LARGEST_ERROR or self._seen == self._n_tasks):
            self.best, self._score = self._seen, score
        return self._seen < self._n_tasks and (self._seen + 1) ** 2 * RESOLUTION**2 < self._score
