"""`GradientWeighting`: methods that make a step of the tasks' gradients of the shared parameters."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from go4align.checks import choice, real_number
from go4align.errors import UserError
from go4align.weighting.base import Representation, StepRecord, Weighting, detached
from go4align.weighting.graph import leaves
from go4align.weighting.solver_tools import Vector

HEADS = {"weighted": True, "sum": False}
"""Whether parameters that are not shared get the weighted sum of the losses' gradients, or the plain sum."""


class Decision(NamedTuple):
    """What a method makes of the tasks' gradients.

    Attributes:
        weights: [M] float64, for the record and the task heads.
        combined: the step, one tensor per shared parameter, given the weights [M] in the losses' dtype.
    """

    weights: Tensor
    combined: Callable[[Tensor], list[Tensor]]


class GradientWeighting(Weighting):
    r"""A method that combines the tasks' gradients g_m of the shared parameters. A subclass writes `_decide`.

    A step takes each task's gradient once, and puts what the method makes of them, usually sum(w_m g_m), into the
    shared parameters' `.grad`. All other parameters (the task heads) get the gradient of sum(w_m L_m) or of sum(L_m).
    Losses of any sign will do; their values are not looked at.

    Args:
        n_tasks: number of tasks M.
        heads: "weighted" or "sum", what the task heads get.
        max_norm: the combined gradient of the shared parameters is scaled down to this norm if it is longer (as
            `torch.nn.utils.clip_grad_norm_` does); 0 leaves it as it is. The heads' gradients are not scaled.
        task_names: M names for error messages.
    """

    needs_gradients = True

    def __init__(
        self, n_tasks: int, *, heads: str, max_norm: float = 0.0, task_names: Iterable[str] | None = None
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.heads, self.max_norm = heads, real_number("max_norm", max_norm)
        self._weighted_heads = choice("heads", heads, HEADS)
        self._scratch: list[Tensor] = []

    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.weigh`: the weights are those before `max_norm`."""
        decision = self._decide_checked(losses, list(shared_parameters), representation)
        return StepRecord(decision.weights.to(losses, copy=True))

    def backward(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.backward`: the record's weights are those after `max_norm`."""
        parameters = list(shared_parameters)
        decision = self._decide_checked(losses, parameters, representation)
        weights = decision.weights.to(losses, copy=True)
        combined = decision.combined(weights)
        factor = self._clip(combined)
        for parameter, gradient in zip(parameters, combined, strict=True):
            if factor < 1.0:
                gradient *= factor
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        heads = weights if self._weighted_heads else torch.ones_like(weights)
        _backward_heads(losses, parameters, heads)
        return StepRecord(weights * factor, head_weights=heads)

    def _decide_checked(
        self, losses: Tensor, parameters: Sequence[Tensor], representation: Representation | None
    ) -> Decision:
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
        decision = self._decide(losses, parameters, outputs)
        self.step += 1
        return decision

    @abstractmethod
    def _decide(self, losses: Tensor, parameters: Sequence[Tensor], representation: Sequence[Tensor]) -> Decision:
        """Take the gradients of losses [M] and make one step of the method's own state, unless one is not finite.

        The graph is kept. The representation is empty, or all that the losses depend on the parameters through.
        """

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


def _backward_heads(losses: Tensor, parameters: Sequence[Tensor], weights: Tensor) -> None:
    shared = {id(p) for p in parameters}
    others = [leaf for leaf in leaves([losses]) if id(leaf) not in shared]
    if others:
        torch.autograd.backward([losses], [weights], inputs=others)


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
