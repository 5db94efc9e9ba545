"""`GradientWeighting`: methods that make a step of the tasks' gradients of the shared parameters."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from go4align.checks import option, real_number
from go4align.weighting._engine.base import ONE, StepRecord, Weighting
from go4align.weighting._engine.finite import all_finite, is_finite
from go4align.weighting._engine.graph import leaves, owned
from go4align.weighting._engine.held import held
from go4align.weighting._engine.retained import in_double, largest_part, retained
from go4align.weighting._engine.shared import Shared, check_shared, trainable
from go4align.weighting._engine.undo import Unchanged, UnchangedGradients

Heads = Literal["weighted", "sum"]
"""Whether parameters that are not shared get the weighted sum of the losses' gradients, or the plain sum."""


class Decision(NamedTuple):
    """What a method makes of the tasks' gradients.

    Attributes:
        weights: [M] float64 on the host, for the record and the task heads.
        sizes: the M lengths of the gradients, None if they are not known.
        combined: the step, one tensor of its own per shared parameter, in its dtype or in one that holds more.
        heads: of each task, the gradients of what its loss alone depends on, as `Shared.heads`; or empty.
    """

    weights: Tensor
    sizes: list[float] | None
    combined: Callable[[], list[Tensor]]
    heads: Sequence[Sequence[Tensor]] = ()


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
    in_one_pass = False

    def __init__(
        self, n_tasks: int, *, heads: Heads, max_norm: float = 0.0, task_names: Iterable[str] | None = None
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.heads = option("heads", heads, Heads)
        self.max_norm = real_number("max_norm", max_norm)
        self._scratch: list[Tensor] = []

    @property
    def checks_on_host(self) -> bool:
        """Always: gradients are compared there, so the host waits for the device at every step anyway."""
        return True

    def _record(self, losses: Tensor, shared: Shared) -> StepRecord:
        """The weights before `max_norm`, in float64."""
        return StepRecord(self._decide_checked(losses, trainable(shared)).weights.to(losses.device, copy=True))

    def _weigh_shared(self, losses: Tensor, shared: Shared) -> StepRecord:
        self._checked(losses)
        with Unchanged(self._state):
            decision = self._decide_checked(losses, trainable(shared))
            self._check_weights(decision.weights)
        self.step.add_(ONE)
        return StepRecord(held(decision.weights, losses.dtype, decision.sizes).to(losses.device))

    def _backward(self, losses: Tensor, shared: Shared) -> StepRecord:
        """The record's weights are those after `max_norm`."""
        self._checked(losses)
        shared = trainable(shared)
        reached = leaves([losses])
        others = _others(reached, shared.parameters)
        if self.ranks.size == 1:
            shared = shared._replace(heads=owned(losses, others))
        with Unchanged(self._state), UnchangedGradients(self.ranks.reached(others)):
            decision = self._decide_checked(losses, shared, reached)
            self._check_weights(decision.weights)
            step, factor = self._clipped(decision.combined())
            gradients = _added(shared.parameters, step)
            self._check_step(losses, shared.parameters, gradients, decision.weights * factor)
            heads = self._heads_weights(losses, decision)
            if decision.heads and heads.dtype == losses.dtype:
                self._weigh_heads(losses, shared.heads, decision.heads, heads)
            else:
                self._backward_heads(losses, others, heads, shared.parameters)
        for parameter, gradient in zip(shared.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.step.add_(ONE)
        weights = held(decision.weights * factor, losses.dtype, decision.sizes)
        return StepRecord(weights.to(losses.device), head_weights=heads.to(losses.device))

    def _heads_weights(self, losses: Tensor, decision: Decision) -> Tensor:
        if self.heads == "sum":
            return torch.ones(self.n_tasks, dtype=losses.dtype, device="cpu")
        return held(decision.weights, losses.dtype, decision.sizes)

    def _weigh_heads(
        self,
        losses: Tensor,
        heads: Sequence[Sequence[Tensor]],
        gradients: Sequence[Sequence[Tensor]],
        weights: Tensor,
    ) -> None:
        """Accumulate the heads' gradients, of which each is one task's alone, from those that its pass gave."""
        leaves_of_tasks = [leaf for leaves_of_task in heads for leaf in leaves_of_task]
        weighted = [
            (gradient * weight).to(gradient.dtype)
            for weight, found in zip(weights.tolist(), gradients, strict=True)
            for gradient in found
        ]
        added = _added(leaves_of_tasks, weighted)
        if not all_finite(added):
            self._backward_heads(losses, leaves_of_tasks, weights, ())
            return
        for leaf, gradient in zip(leaves_of_tasks, added, strict=True):
            leaf.grad = gradient

    def _backward_heads(self, losses: Tensor, others: list[Tensor], weights: Tensor, shared: Sequence[Tensor]) -> None:
        """Accumulate the heads' gradients, the mean of all ranks; the graph is kept."""
        reached = self.ranks.reached(others)
        if not reached:
            return
        if weights.dtype == losses.dtype:
            before = UnchangedGradients(reached)
            if others:
                with retained():
                    torch.autograd.backward([losses], [weights.to(losses.device)], retain_graph=True, inputs=others)
            self.ranks.average_gradients(beside=shared)
            if all_finite(leaf.grad for leaf in reached if leaf.grad is not None):
                return
            before.put_back()
        for leaf, gradient in zip(others, _added(others, in_double(losses, others, weights)), strict=True):
            leaf.grad = gradient
        self.ranks.average_gradients(beside=shared)
        written = [leaf for leaf in reached if leaf.grad is not None]
        self._check_step(losses, written, [leaf.grad for leaf in written if leaf.grad is not None], weights)

    def _check_step(
        self, losses: Tensor, parameters: Sequence[Tensor], gradients: Sequence[Tensor], weights: Tensor
    ) -> None:
        if not all_finite(gradients):
            bad = [p for p, gradient in zip(parameters, gradients, strict=True) if not is_finite(gradient)]
            raise self._bad_gradient(largest_part(losses, bad, weights), bad[0].dtype, int(self.step) + 1)

    def _decide_checked(self, losses: Tensor, shared: Shared, reached: Sequence[Tensor] | None = None) -> Decision:
        check_shared(losses, shared, reached)
        return self._decide(losses, shared)

    @abstractmethod
    def _decide(self, losses: Tensor, shared: Shared) -> Decision:
        """Take the gradients of losses [M] and make one step of the method's own state, unless one is not finite.

        The graph is kept. The shared representation is empty, or all that the losses depend on the parameters through.
        """

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scratch": []}  # a copy has no use for it

    def _clipped(self, step: list[Tensor]) -> tuple[list[Tensor], float]:
        """The step scaled down to `max_norm`, and the factor."""
        if not self.max_norm:
            return step, 1.0
        norm = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in step]).norm()
        factor = min(1.0, self.max_norm / (float(norm) + 1e-6))
        if factor < 1.0:
            for gradient in step:
                gradient *= factor
        return step, factor


def _added(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
    """What `.grad` becomes, in the parameters' dtypes."""
    pairs = zip(parameters, gradients, strict=True)
    return [g.to(p.dtype) if p.grad is None else p.grad + g.to(p.dtype) for p, g in pairs]


def _others(reached: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """The leaves that are not shared: the task heads'."""
    shared = {id(p) for p in parameters}
    return [leaf for leaf in reached if id(leaf) not in shared]
