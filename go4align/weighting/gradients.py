"""`GradientWeighting`: methods that choose weights from the tasks' gradients of the shared parameters."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from go4align.checks import choice, real_number
from go4align.errors import UserError
from go4align.weighting.base import Representation, StepRecord, Weighting, detached
from go4align.weighting.graph import leaves
from go4align.weighting.solver_tools import Matrix, Vector
from go4align.weighting.task_gradients import BatchedGradients, StoredGradients, TaskGradients

HEADS = {"weighted": True, "sum": False}
"""Whether parameters that are not shared get the weighted sum of the losses' gradients, or the plain sum."""
GRAMIANS = {"stored": False, "layerwise": True}
"""Whether the Gramian is computed without keeping the tasks' gradients."""


class GradientWeighting(Weighting):
    r"""A method that combines the tasks' gradients g_m of the shared parameters. A subclass writes `_solve`.

    A step takes each task's gradient once, their Gramian G[i, j] = <g_i, g_j>, weights w from it on the host in
    float64, and puts sum(w_m g_m) into the shared parameters' `.grad`. All other parameters (the task heads) get the
    gradient of sum(w_m L_m) or of sum(L_m). Losses of any sign will do; their values are not looked at.

    Args:
        n_tasks: number of tasks M.
        heads: "weighted" or "sum", what the task heads get.
        gramian: "stored" (default) keeps M gradients of the shared parameters during the step, and on a CPU their
            memory until the next; "layerwise" keeps those of one layer at a time, in one vectorised backward pass
            (module `layerwise`), with equal results. With a `representation` the Gramian is always computed so;
            the training loop gives it with "layerwise" alone.
        max_norm: the combined gradient of the shared parameters is scaled down to this norm if it is longer (as
            `torch.nn.utils.clip_grad_norm_` does); 0 leaves it as it is. The heads' gradients are not scaled.
        task_names: M names for error messages.
    """

    needs_gradients = True
    _needs_jacobian = False
    """Whether the method needs every entry of the tasks' gradients, not only their Gramian."""

    def __init__(
        self,
        n_tasks: int,
        *,
        heads: str,
        gramian: str = "stored",
        max_norm: float = 0.0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.heads, self.gramian, self.max_norm = heads, gramian, real_number("max_norm", max_norm)
        self._weighted_heads = choice("heads", heads, HEADS)
        self._layerwise = self.uses_representation = choice("gramian", gramian, GRAMIANS)
        self._scratch: list[Tensor] = []

    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """Take one step of the method's own state and return its weights, before `max_norm`; `.grad` stays as it is."""
        gradients = self._gradients(losses, list(shared_parameters), representation)
        weights, _ = self._decide(gradients)
        self.step += 1
        return StepRecord(weights.to(losses, copy=True))

    def backward(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.backward`.

        Raises:
            UserError: further, no shared parameters, or a task's gradient that is not finite.
        """
        gradients = self._gradients(losses, list(shared_parameters), representation)
        decided, combined = self._decide(gradients)
        self.step += 1
        weights = decided.to(losses, copy=True)
        if combined is None:
            combined = gradients.combined(weights)
        factor = self._clip(combined)
        for parameter, gradient in zip(gradients.parameters, combined, strict=True):
            if factor < 1.0:
                gradient *= factor
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        heads = weights if self._weighted_heads else torch.ones_like(weights)
        self._backward_heads(gradients, heads)
        return StepRecord(weights * factor, head_weights=heads)

    def _gradients(
        self, losses: Tensor, parameters: list[nn.Parameter], representation: Representation | None
    ) -> TaskGradients:
        self._checked(losses)
        if not losses.requires_grad:
            raise detached()
        if not parameters:
            raise UserError(
                "`shared_parameters` must name at least one parameter that all tasks share, found none. This method "
                "compares the tasks' gradients there: pass weighting.backward(losses, shared_parameters=[...])."
            )
        outputs = (representation,) if isinstance(representation, Tensor) else tuple(representation or ())
        if outputs:
            _check_representation(losses, parameters, outputs)
        if (self._layerwise or outputs) and not self._needs_jacobian:
            return BatchedGradients(losses, parameters, outputs)
        return StoredGradients(losses, parameters, self._scratch)

    def _decide(self, gradients: TaskGradients) -> tuple[Tensor, list[Tensor] | None]:
        """Weights [M] float64 on the host, and the combined gradient where it is not their weighted sum."""
        gramian = gradients.gramian()
        self._check_finite(gramian.diagonal())
        return torch.from_numpy(self._solve(gramian)), None

    @abstractmethod
    def _solve(self, gramian: Matrix) -> Vector:
        """Weights [M] from the Gramian [M, M], finite; a task's gradient may be zero."""

    def _check_finite(self, squares: Vector) -> None:
        for task, square in enumerate(squares.tolist()):
            if not math.isfinite(square):
                raise UserError(
                    f"The gradient of '{self.task_names[task]}' must be finite, found one whose squared norm is "
                    f"{square!r} at step {self.step + 1}. The weighting's state is unchanged: skip this batch, lower "
                    "the learning rate, or check that task's loss."
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scratch": []}  # a copy has no use for it

    def _clip(self, combined: Sequence[Tensor]) -> float:
        if not self.max_norm:
            return 1.0
        norm = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in combined]).norm()
        return min(1.0, self.max_norm / (float(norm) + 1e-6))

    def _backward_heads(self, gradients: TaskGradients, weights: Tensor) -> None:
        shared = {id(p) for p in gradients.parameters}
        others = [leaf for leaf in leaves([gradients.losses]) if id(leaf) not in shared]
        if others:
            torch.autograd.backward([gradients.losses], [weights], inputs=others)


def _check_representation(losses: Tensor, parameters: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    if any(z.grad_fn is None for z in outputs):
        raise UserError("`representation` must be computed by the shared parameters, found a tensor without a graph.")
    past = {id(leaf) for leaf in leaves([losses], beyond=outputs)}
    if any(id(p) in past for p in parameters):
        raise UserError(
            "Every loss must depend on the shared parameters through `representation` alone, found a shared parameter "
            "that a loss reaches in another way. Name all tensors that the heads read, or leave `representation` out "
            '(in training: gramian="stored").'
        )
