"""MGDA: multiple-gradient descent (Desideri, Comptes Rendus Mathematique 2012; Sener and Koltun, NeurIPS 2018)."""

from collections.abc import Iterable

import numpy

from go4align.checks import choice
from go4align.weighting.gramian_weighting import GramianWeighting
from go4align.weighting.solver_tools import (
    EPSILON,
    Matrix,
    Vector,
    nonnegative_minimum,
    unit_rows,
    warn_unsolved,
)

SCALES = {"tasks": True, "none": False}
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
        gramian: "stored" (default) or "layerwise", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        scale: str = "tasks",
        heads: str = "weighted",
        gramian: str = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)
        self.scale = scale
        self._factor = n_tasks if choice("scale", scale, SCALES) else 1

    def _solve(self, gramian: Matrix) -> Vector:
        weights = minimum_norm_point(gramian)
        residual = duality_gap(gramian, weights)
        if residual > TOLERANCE:
            warn_unsolved("mgda", self.n_tasks, residual, "the duality gap must be at most 1e-6 of the squared norm")
        return self._factor * weights


def minimum_norm_point(gramian: Matrix) -> Vector:
    """w [M] >= 0 of sum 1 with the least w' G w.

    With unit rows x_m = s_m w_m the sum is a weighted one: sum(x_m / s_m) = 1. Wolfe's algorithm adds that row to the
    gradients (his equation 8), which leaves a problem with x >= 0 only, whose solution is the wanted one but for scale.
    Tasks whose gradient is zero share the weight, if there are any.
    """
    rows = unit_rows(gramian)
    if len(rows.tasks) < len(gramian):
        zero = numpy.ones(len(gramian))
        zero[rows.tasks] = 0.0
        return zero / zero.sum()
    shortest = rows.norms.min() / rows.norms
    lengths = nonnegative_minimum(rows.cosines + numpy.outer(shortest, shortest), -shortest)
    return shortest * _refined(rows.cosines, shortest, lengths / (lengths @ shortest))


def _refined(cosines: Matrix, shortest: Vector, lengths: Vector) -> Vector:
    """One Newton step on the face, without the row that `minimum_norm_point` adds: that row loses digits to it."""
    chosen = lengths.nonzero()[0]
    bound = shortest[chosen] / shortest[chosen].max()
    system = numpy.block([[cosines[numpy.ix_(chosen, chosen)], bound[:, None]], [bound, numpy.zeros(1)]])
    slope = numpy.append(-(cosines @ lengths)[chosen], 0.0)
    change = numpy.linalg.lstsq(system, slope, rcond=None)[0][:-1]
    better = lengths.copy()
    better[chosen] = numpy.maximum(better[chosen] + change, 0.0)
    better /= better @ shortest
    return better if better @ cosines @ better < lengths @ cosines @ lengths else lengths


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
