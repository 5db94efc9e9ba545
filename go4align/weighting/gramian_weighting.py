"""`GramianWeighting`: methods that weigh the tasks by the inner products of their gradients."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from go4align.checks import choice
from go4align.weighting.gradients import Decision, GradientWeighting
from go4align.weighting.solver_tools import Matrix, Vector
from go4align.weighting.task_gradients import BatchedGradients, StoredGradients, TaskGradients

GRAMIANS = {"stored": False, "layerwise": True}
"""Whether the Gramian is computed without keeping the tasks' gradients."""


class GramianWeighting(GradientWeighting):
    r"""A method whose step is sum(w_m g_m), with weights from the Gramian G[i, j] = <g_i, g_j>. It writes `_solve`.

    The Gramian is float64 on the host, whatever the gradients' dtype and device are.

    Args:
        n_tasks: number of tasks M.
        heads: "weighted" or "sum", what the task heads get.
        gramian: "stored" (default) keeps M gradients of the shared parameters during the step, and on a CPU their
            memory until the next; "layerwise" keeps those of one layer at a time, in one vectorised backward pass
            (module `layerwise`), with equal results. With a `representation` the Gramian is always computed so;
            the training loop gives it with "layerwise" alone.
        max_norm: see `GradientWeighting`.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        heads: str,
        gramian: str = "stored",
        max_norm: float = 0.0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, max_norm=max_norm, task_names=task_names)
        self.gramian = gramian
        self._layerwise = self.uses_representation = choice("gramian", gramian, GRAMIANS)

    def _decide(self, losses: Tensor, parameters: Sequence[Tensor], representation: Sequence[Tensor]) -> Decision:
        gradients: TaskGradients
        if self._layerwise or representation:
            gradients = BatchedGradients(losses, parameters, representation)
        else:
            gradients = StoredGradients(losses, parameters, self._scratch)
        return Decision(self._weights(gradients), gradients.combined)

    def _weights(self, gradients: TaskGradients) -> Tensor:
        """Weights [M] float64."""
        gramian = gradients.gramian()
        self._check_finite(gramian.diagonal())
        return torch.from_numpy(self._solve(gramian))

    @abstractmethod
    def _solve(self, gramian: Matrix) -> Vector:
        """Weights [M] from the Gramian [M, M], finite; a task's gradient may be zero."""
