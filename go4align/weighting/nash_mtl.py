"""Nash-MTL: the tasks' gradients bargain (Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix, Vector
from go4align.checks import whole_number
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting
from go4align.weighting._engine.solvers import EPSILON, root, spread, unit_rows, warn_unsolved
from go4align.weighting._engine.task_gradients import TaskGradients

TOLERANCE = 1e-6
UNBOUNDED = 1e7
"""Relative weight beyond which there is no solution: cosines are not exact enough to tell."""
RIDGE = 1e-6
"""Added to the cosines' diagonal where there is no solution without."""


class NashMTL(GramianWeighting):
    r"""Nash-MTL: weights a > 0 with a_m (G a)_m = 1 for every task, G the Gramian (Navon et al., Claim 3.1 and Eq. 3).

    They are the minimiser of the convex a' G a / 2 - sum(log a), which damped Newton steps on unit rows find to
    rounding in a few iterations. The official code linearises the problem and hands it to ECOS, which often ends far
    away, and falls back to the last weights where ECOS fails.

    There is no solution where a combination of the gradients with weights >= 0 is zero (no direction improves all
    tasks). Then the problem with 1e-6 added to the squared unit lengths is solved, and a `SolverWarning` says so. Tasks
    whose gradient is zero take no part in the bargain and get weight 0.

    Args:
        n_tasks: number of tasks M.
        update_every: solve at every so many steps (default 1, official `update_weights_every`) and keep the weights in
            between, where a step costs little more than a plain sum.
        max_norm: the norm that the shared parameters' gradient is clipped to, default 1.0 as official, which every
            exact solution of M >= 2 tasks exceeds (it is sqrt(M)); 0 for none. `weigh` and the heads' weights are
            unclipped.
        heads: what the task heads get: "weighted" (default, as official) or "sum".
        gramian: "stored" (default), "layerwise" or "representation", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    per_task: ClassVar[Mapping[str, int]] = {**GramianWeighting.per_task, "latest": 0}

    latest: Tensor

    def __init__(
        self,
        n_tasks: int,
        *,
        update_every: int = 1,
        max_norm: float = 1.0,
        heads: Heads = "weighted",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, max_norm=max_norm, task_names=task_names)
        self.update_every = whole_number("update_every", update_every, 1)
        self.register_buffer("latest", torch.zeros(n_tasks, dtype=torch.float64))

    def _weights(self, gradients: TaskGradients) -> tuple[Tensor, list[float] | None]:
        if int(self.step) % self.update_every and self.tasks is None:  # other tasks make another bargain
            return self.latest, None
        weights, sizes = super()._weights(gradients)
        self.latest.copy_(weights)
        return weights, sizes

    def _solve(self, gramian: Matrix) -> Vector:
        rows = unit_rows(gramian)
        lengths, residual = bargain(rows.cosines)
        if residual > TOLERANCE:
            condition = "max |a (G a) - 1| must be at most 1e-6, which gradients that cancel each other do not allow"
            warn_unsolved("nash_mtl", self.n_tasks, residual, condition)
            lengths, _ = bargain(rows.cosines + RIDGE * numpy.eye(len(lengths)))
        return spread(lengths / rows.norms, rows.tasks, self.n_tasks)


def bargain(cosines: Matrix) -> tuple[Vector, float]:
    """x [m] > 0 with x (C x) = 1, and max |x (C x) - 1|.

    Newton's method in relative steps d = dx / x: (X C X + I) d = 1 - x (C x). The function is self-concordant, so steps
    of d / (1 + decrement) never leave x > 0 and always descend, and full steps converge quadratically near the end.
    """
    lengths = numpy.ones(len(cosines))
    lengths /= numpy.sqrt(max(cosines.mean() * len(cosines), 1e-2)) if len(cosines) else 1.0
    for _ in range(200):
        missing = 1.0 - lengths * (cosines @ lengths)
        if numpy.abs(missing).max(initial=0.0) < 8 * EPSILON or lengths.max(initial=0.0) > UNBOUNDED:
            break
        system = lengths * cosines * lengths[:, None] + numpy.eye(len(lengths))
        step = numpy.linalg.solve(system, missing)
        decrement = root(step @ missing)
        if decrement < EPSILON:
            break
        lengths = lengths * (1.0 + step / (1.0 + decrement if decrement > 0.25 else 1.0))
    return lengths, float(numpy.abs(lengths * (cosines @ lengths) - 1.0).max(initial=0.0))
