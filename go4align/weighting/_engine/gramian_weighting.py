"""`GramianWeighting`: methods that weigh the tasks by the inner products of their gradients."""

from abc import abstractmethod
from collections.abc import Iterable

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix, Vector
from go4align.checks import option
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Decision, GradientWeighting, Heads
from go4align.weighting._engine.shared import Shared, gradients_by
from go4align.weighting._engine.task_gradients import TaskGradients


class GramianWeighting(GradientWeighting):
    r"""A method whose step is sum(w_m g_m), with weights from the Gramian G[i, j] = <g_i, g_j>. It writes `_solve`.

    The Gramian is float64 on the host, whatever the gradients' dtype and device are.

    Args:
        n_tasks: number of tasks M.
        heads: "weighted" or "sum", what the task heads get.
        gramian: "stored" (default) keeps M gradients of the shared parameters during the step, and on a CPU their
            memory until the next; "layerwise" keeps those of one layer at a time, in one vectorised backward pass
            (module `layerwise`), with equal results. With a `representation` the Gramian is computed so, too; the
            training loop gives it with "layerwise" and "representation". The last takes the gradients of the
            `representation` in the place of the shared parameters' ones (Sener and Koltun 2018, MGDA-UB): other
            weights, for about the cost of a plain sum.
        max_norm: see `GradientWeighting`.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        heads: Heads,
        gramian: GramianForm = "stored",
        max_norm: float = 0.0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, max_norm=max_norm, task_names=task_names)
        self.gramian = option("gramian", gramian, GramianForm)
        self.uses_representation = gramian != "stored"

    def _decide(self, losses: Tensor, shared: Shared) -> Decision:
        gradients = gradients_by(self.gramian, losses, shared, self._scratch, self.ranks)
        weights, sizes = self._weights(gradients)
        return Decision(weights, sizes, lambda: gradients.combined(weights, sizes), gradients.heads)

    def _weights(self, gradients: TaskGradients) -> tuple[Tensor, list[float] | None]:
        """Weights [M] float64, and the lengths of the gradients, if they are known."""
        gramian = gradients.gramian()
        self._check_finite(gramian.diagonal())
        sizes: list[float] = numpy.sqrt(gramian.diagonal()).tolist()
        return torch.from_numpy(self._solve(gramian)), sizes

    @abstractmethod
    def _solve(self, gramian: Matrix) -> Vector:
        """Weights [M] from the Gramian [M, M], finite; a task's gradient may be zero."""
