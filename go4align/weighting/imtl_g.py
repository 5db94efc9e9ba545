"""IMTL-G: impartial multi-task learning, the gradient part (Liu et al., "Towards Impartial MTL", ICLR 2021)."""

from collections.abc import Iterable

import numpy

from go4align.arrays import Matrix, Vector
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting
from go4align.weighting._engine.solvers import spread, unit_rows, warn_unsolved

RANK = 1e-12
"""Eigenvalues of the cosines below RANK * M count as zero."""
TOLERANCE = 1e-6


class IMTLG(GramianWeighting):
    r"""IMTL-G: the combination, of sum 1, whose projections on all tasks' gradients are equal (Liu et al., Eq. 5-6).

    <g, g_m> / |g_m| is the same for every m, with g = sum(w_m g_m) and sum(w) = 1; weights may be negative. With
    cosines C of the gradients: C x = 1, w_m = x_m / |g_m|, then divided by their sum. In float64 and unit rows,
    because float32 loses the solution where gradients differ in length.

    Linearly dependent gradients: the x of least norm; where the equations contradict each other, only projections of
    zero are equal, and x is the part of 1 that the equations cannot reach, for which sum(w_m g_m) = 0. A task whose
    gradient is zero has no projection and gets weight 0.

    Args:
        n_tasks: number of tasks M.
        heads: what the task heads get: "weighted" (default, as official) or "sum".
        gramian: "stored" (default), "layerwise" or "representation", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    takes_scaled_losses = True

    def __init__(
        self,
        n_tasks: int,
        *,
        heads: Heads = "weighted",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)

    def _solve(self, gramian: Matrix) -> Vector:
        rows = unit_rows(gramian)
        if not len(rows.tasks):
            return numpy.full(self.n_tasks, 1.0 / self.n_tasks)
        lengths = impartial(rows.cosines)
        projections = rows.cosines @ lengths
        residual = float(numpy.abs(projections - projections.mean()).max() / max(1.0, numpy.abs(projections).max()))
        if residual > TOLERANCE:
            warn_unsolved("imtl_g", self.n_tasks, residual, "projections must be equal to 1e-6")
        weights = lengths / rows.norms
        total = weights.sum()
        size = numpy.abs(weights).sum()
        if abs(total) < 1e-12 * size:
            warn_unsolved("imtl_g", self.n_tasks, abs(total) / size, "the weights cannot have sum 1, theirs is zero")
            total = size
        return spread(weights / total, rows.tasks, self.n_tasks)


def impartial(cosines: Matrix) -> Vector:
    """x [m] with C x = 1 and the least norm, or with C x = 0 where that has no solution."""
    values, vectors = numpy.linalg.eigh(cosines)
    sums = vectors.sum(0)
    kept = values > RANK * len(values)
    missing: Vector = vectors[:, ~kept] @ sums[~kept]
    if numpy.linalg.norm(missing) > TOLERANCE:
        return missing
    lengths: Vector = vectors[:, kept] @ (sums[kept] / values[kept])
    lengths += vectors[:, kept] @ ((vectors[:, kept].T @ (1.0 - cosines @ lengths)) / values[kept])
    return lengths
