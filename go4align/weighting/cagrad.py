"""CAGrad: conflict-averse gradient descent (Liu et al., NeurIPS 2021)."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy

from go4align.arrays import Mask, Matrix, Vector
from go4align.checks import option, real_number
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting
from go4align.weighting._engine.solvers import (
    EPSILON,
    UnitRows,
    face_minimum,
    minimum_norm_point,
    nonnegative_minimum,
    root,
    spread,
    unit_rows,
    warn_unsolved,
)

Scale = Literal["official", "none"]
"""Whether the step is multiplied by M / (1 + c^2)."""
TOLERANCE = 1e-8
LARGEST_C = 1000.0
"""Further than any step goes; c^2 stays finite."""


class CAGrad(GramianWeighting):
    r"""CAGrad: the step d near the mean gradient g_0 that helps the worst-off task most (Liu et al., Eq. 3-4).

    max_d min_m <g_m, d> subject to |d - g_0| <= c |g_0|. Its dual is the minimum over the simplex of
    <g_w, g_0> + c |g_0| |g_w| with g_w = sum(w_m g_m), and d = g_0 + c |g_0| g_w / |g_w|.

    Solved exactly by an active-set method (`conflict_averse`); the official SLSQP stops far away where gradients differ
    in length. Where g_w is zero (no direction improves all tasks), d is the point nearest to g_0 along which no task
    gets worse: the limit of the formula, which TorchJD replaces by zero and the official code by almost g_0.

    Args:
        n_tasks: number of tasks M.
        c: radius of the ball relative to |g_0|, 0 to 1000, default 0.4 (paper and official code).
        scale: "official" (default) multiplies the step by M / (1 + c^2) as the official code does, to match the sum
            of M losses and to undo the gain of length; "none" is d as printed.
        max_norm: the norm that the shared parameters' gradient is clipped to; 0 (default) for none, as Nash-MTL's
            code; FAMO's code clips to 1.
        heads: what the task heads get: "weighted" or "sum" (default, as official).
        gramian: "stored" (default), "layerwise" or "representation", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        c: float = 0.4,
        *,
        scale: Scale = "official",
        max_norm: float = 0.0,
        heads: Heads = "sum",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, max_norm=max_norm, task_names=task_names)
        self.takes_scaled_losses = not self.max_norm
        self.c = real_number("c", c, high=LARGEST_C)
        self.scale = option("scale", scale, Scale)
        self._factor = self._factor_of(n_tasks)

    def _factor_of(self, n_tasks: int) -> float:
        return n_tasks / (1.0 + self.c**2) if self.scale == "official" else 1.0

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        return {**super().narrowed_attributes(tasks), "_factor": self._factor_of(len(tasks))}

    def _solve(self, gramian: Matrix) -> Vector:
        moves = conflict_averse(gramian, self.c)
        residual = duality_gap(gramian, moves, self.c)
        if residual > TOLERANCE:
            warn_unsolved("cagrad", self.n_tasks, residual, "the duality gap must be at most 1e-8 of the objective")
        return self._factor * (1.0 / self.n_tasks + moves)


def conflict_averse(gramian: Matrix, c: float) -> Vector:
    """v [M] >= 0 with d = g_0 + sum(v_m g_m).

    For a level t, the point nearest to g_0 where <g_m, d> >= t for all m is a small quadratic program in v, and its
    distance from g_0 is convex and increasing in t. The wanted d is that of the largest t (where there is one at all,
    no more than 0 if the gradients' convex hull contains 0) whose distance is at most c |g_0|.
    """
    mean = gramian.mean(1)
    radius = c * root(mean.mean())
    rows = unit_rows(gramian)
    if radius <= 0.0 or not len(rows.tasks):
        return numpy.zeros(len(gramian))
    nearest = _NearestPoint(rows, mean[rows.tasks] / rows.norms / radius, rows.norms.min() / rows.norms)
    lengths = nearest.at(0.0)
    if nearest.distance(lengths) >= 1.0:
        low = float((nearest.slopes / nearest.bounds).min())
        lengths = nearest.at_distance_one(low, 0.0)
    elif len(rows.tasks) == len(gramian):
        weights = minimum_norm_point(gramian)
        square = weights @ gramian @ weights
        rounding = 64 * EPSILON * (rows.norms @ weights) ** 2
        if square > rounding + 1e-14 * rows.norms.min() ** 2:
            lengths = nearest.at_distance_one(0.0, numpy.sqrt(square) / rows.norms.min() * (1.0 + c) / c)
    return spread(radius * lengths / rows.norms, rows.tasks, len(gramian))


class _NearestPoint:
    """The point nearest to g_0 where every task gains at least a level; in units of the ball's radius and unit rows."""

    def __init__(self, rows: UnitRows, slopes: Vector, bounds: Vector) -> None:
        self.cosines = rows.cosines
        self.slopes = slopes
        self.bounds = bounds

    def at(self, level: float) -> Vector:
        """Multipliers [m] of the tasks' bounds."""
        return nonnegative_minimum(self.cosines, self.slopes - level * self.bounds)

    def distance(self, lengths: Vector) -> float:
        return root(lengths @ self.cosines @ lengths)

    def at_distance_one(self, low: float, high: float) -> Vector:
        """The multipliers whose distance is 1, which is at most 1 at level `low` and at least 1 at `high`."""
        level = high
        lengths = self.at(high)
        for _ in range(100):
            distance = self.distance(lengths)
            if abs(distance - 1.0) < 1e-12:
                break
            low, high = (low, level) if distance > 1.0 else (level, high)
            last = level
            level = self._guess(lengths > 0.0)
            if not low < level < high:
                level = (low + high) / 2
            if level in (low, high, last):
                break
            lengths = self.at(level)
        distance = self.distance(lengths)
        return lengths / distance if distance > 0.0 else lengths

    def _guess(self, free: Mask) -> float:
        """The level of distance 1 if the tasks at their bounds stay the same: lengths are then linear in the level."""
        start, change = (face_minimum(self.cosines, b, free) for b in (self.slopes, -self.bounds))
        square = change @ self.cosines @ change
        product = start @ self.cosines @ change
        rest = start @ self.cosines @ start - 1.0
        discriminant = product * product - square * rest
        return float((root(discriminant) - product) / square) if square > 0.0 else numpy.inf


def duality_gap(gramian: Matrix, moves: Vector, c: float) -> float:
    """The gap between the dual objective at w = v / sum(v) and min_m <g_m, d>, beyond rounding, relative to the former.

    Where d lies inside the ball the optimum is 0, and the gap is the worst task's loss, relative to |g_m| |g_0|.
    """
    mean = gramian.mean(1)
    norms = numpy.sqrt(gramian.diagonal())
    length = root(mean.mean())
    total = float(moves.sum())
    if c == 0.0 or total <= 0.0:
        return 0.0
    gains = mean + gramian @ moves
    rounding = 64 * EPSILON * norms * (length + norms @ moves)
    distance = root(moves @ gramian @ moves)
    if distance < c * length * (1 - 1e-9):
        return max(0.0, float((-(gains + rounding) / numpy.maximum(norms * length, 1e-300)).max()))
    objective = float(moves @ mean + c * length * distance) / total
    return max(0.0, float((objective - gains - rounding).max()) / max(abs(objective), 1e-300))
