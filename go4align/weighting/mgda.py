"""MGDA: multiple-gradient descent (Desideri, Comptes Rendus Mathematique 2012; Sener and Koltun, NeurIPS 2018)."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy

from go4align.arrays import Matrix, Vector
from go4align.checks import option
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting
from go4align.weighting._engine.solvers import EPSILON, minimum_norm_point, warn_unsolved

Scale = Literal["tasks", "none"]
"""Whether the convex combination is multiplied by the number of tasks."""
TOLERANCE = 1e-6


class MGDA(GramianWeighting):
    r"""MGDA: the convex combination of the tasks' gradients with the least norm (Sener and Koltun, Eq. 3).

    min |sum_m w_m g_m|^2 over w >= 0, sum(w) = 1. No task gets worse along it; where it is zero (also where one task's
    gradient is), none can get better without another getting worse, and training stops.

    Solved by the active-set algorithm of Wolfe (Mathematical Programming 11, 1976), to a duality gap
    |g|^2 - min_m <g_m, g> of at most 1e-6 |g|^2. The official code's Frank-Wolfe steps end far away from that where
    gradients differ in length.

    Args:
        n_tasks: number of tasks M.
        scale: "tasks" (default) multiplies the weights by M, as the official code does, to match the sum of M losses;
            "none" is Eq. 3 as printed.
        heads: what the task heads get: "weighted" (default, as official) or "sum".
        gramian: "stored" (default), "layerwise" or "representation", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    takes_scaled_losses = True

    def __init__(
        self,
        n_tasks: int,
        *,
        scale: Scale = "tasks",
        heads: Heads = "weighted",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)
        self.scale = option("scale", scale, Scale)
        self._factor = self._factor_of(n_tasks)

    def _factor_of(self, n_tasks: int) -> int:
        return n_tasks if self.scale == "tasks" else 1

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        return {**super().narrowed_attributes(tasks), "_factor": self._factor_of(len(tasks))}

    def _solve(self, gramian: Matrix) -> Vector:
        weights = minimum_norm_point(gramian)
        residual = duality_gap(gramian, weights)
        if residual > TOLERANCE:
            warn_unsolved("mgda", self.n_tasks, residual, "the duality gap must be at most 1e-6 of the squared norm")
        return self._factor * weights


def duality_gap(gramian: Matrix, weights: Vector) -> float:
    """The gap |g|^2 - min_m <g_m, g> beyond rounding, relative to |g|^2; 0 where g is zero to rounding."""
    norms = numpy.sqrt(gramian.diagonal())
    products = gramian @ weights
    square = float(weights @ products)
    size = norms @ weights
    if square <= 1e-12 * norms.min() ** 2 + 64 * EPSILON * size**2:
        return 0.0
    rounding = 64 * EPSILON * norms * size
    return max(0.0, float((square - products - rounding).max()) / square)
