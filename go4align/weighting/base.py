"""The `Weighting` contract: losses in, gradients out, and a detached record of what was done."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor, nn

from go4align.checks import whole_number
from go4align.errors import UserError

Representation: TypeAlias = Tensor | Sequence[Tensor]
"""What the shared parameters compute and all task heads read, attached to the graph."""


class StepRecord(NamedTuple):
    """What one training step did; every tensor is detached.

    Attributes:
        weights: [M] in the losses' dtype, the factor that multiplied each task's gradient of the shared parameters.
        labels: [M] int64, each task's group in ascending order of centre, or None without groups.
        centres: [K], the group weights in ascending order, or None without groups (see `go4align.Groups`).
        head_weights: [M], the factor that multiplied each task's gradient of all other parameters; None for `weights`.
    """

    weights: Tensor
    labels: Tensor | None = None
    centres: Tensor | None = None
    head_weights: Tensor | None = None


class Weighting(nn.Module, ABC):
    """Turns per-task losses into one gradient step.

    Methods state what they need as attributes, so that a training loop never asks for a method's name.
    All state that later steps depend on is part of `state_dict`, so a resumed run equals an uninterrupted one bit for
    bit. State is kept in float64 whatever the losses' dtype is, and `.float()`, `.half()` or `.to(dtype)` of a model
    that contains the weighting leave it so; `.to(device)` moves it.

    Bad losses: on a CPU they are refused at once. On a GPU that would stop the host at every step, so a bad loss is
    noted on the device, replaced by 1 for the state's sake, and `end_epoch` raises the same error.

    Args:
        n_tasks: number of tasks M, at least 1.
        task_names: M names for error messages, default "task 0" ... "task M-1".
    """

    needs_losses_after: bool = False
    """Whether `after_step` must be called with the losses of the same batch after the optimiser's step."""
    needs_positive_losses: bool = False
    """Whether a negative loss is an error (zero is always accepted)."""
    needs_gradients: bool = False
    """Whether `shared_parameters` must be given."""
    uses_representation: bool = False
    """Whether `representation` should be given, by whoever knows it."""
    depends_on_order: bool = False
    """Whether tasks in another order get other weights: the method draws numbers for positions, or names a task."""

    first_bad_step: Tensor

    def __init__(self, n_tasks: int, *, task_names: Iterable[str] | None = None) -> None:
        super().__init__()
        self.n_tasks = whole_number("n_tasks", n_tasks, 1)
        self.task_names = tuple(task_names) if task_names is not None else tuple(f"task {m}" for m in range(n_tasks))
        if len(self.task_names) != n_tasks:
            raise UserError(f"`task_names` must have {n_tasks} entries (one per task), found {len(self.task_names)}.")
        self.step = 0
        self.register_buffer("first_bad_step", torch.zeros(n_tasks, dtype=torch.int64))
        self._device = self.first_bad_step.device

    @abstractmethod
    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """Take one step of the method's own state and return its weights, unclipped; no `.grad` is touched.

        Arguments and errors are those of `backward`; detached losses will do where no gradients are compared.
        """

    @abstractmethod
    def backward(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """Accumulate this step's gradients into `.grad`.

        Args:
            losses: [M], attached to the graph.
            shared_parameters: the parameters that all tasks share (loss-oriented methods do not look at them).
            representation: a tensor, or several, through which alone the losses depend on the shared parameters.
                Methods that compare gradients then pass through each head once and never keep all gradients; the others
                do not look at it.

        Raises:
            UserError: losses of a wrong shape or dtype, on another device, or without a graph; one that is not finite
                (or negative where the method needs positive ones); where gradients are compared, no shared parameters,
                a gradient that is not finite, a representation that the losses pass by, or an operation that cannot be
                vectorised. The state is left as it was.
        """

    def learn(self, losses: Tensor) -> None:
        """Accumulate gradients of the method's own `parameter_groups` for checked, detached losses [M]."""

    def after_step(self, losses_after: Tensor) -> None:
        """Learn from the losses [M] of the same batch after the optimiser's step (only if `needs_losses_after`)."""

    def end_epoch(self) -> None:
        """Tell the method that an epoch has ended.

        Raises:
            UserError: a loss of this epoch was bad (only where `backward` could not say so, see the class).
        """
        if not self.first_bad_step.is_cpu:
            self._raise_noted()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the learnable parameters, each with its own `lr`; empty for most methods."""
        return []

    def get_extra_state(self) -> dict[str, Any]:
        """The part of `state_dict` that is no tensor: the number of steps, and what `_extra_state` adds."""
        return {"step": self.step, **self._extra_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Undo `get_extra_state`."""
        self.step = state["step"]
        self._load_extra_state(state)

    def _extra_state(self) -> dict[str, Any]:
        """State beside buffers and parameters, independent of later steps (copied, not referred to)."""
        return {}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Undo `_extra_state`; `state` may have further keys."""

    def _checked(self, losses: Tensor, ahead: int = 1) -> Tensor:
        """Return the losses detached, or raise `UserError`; on a GPU note bad entries and replace them by 1.

        `ahead` tells which step they belong to: 1 for the coming one, 0 for the one that was just made.
        """
        if losses.shape != (self.n_tasks,):
            raise UserError(
                f"`losses` must have shape ({self.n_tasks},), one entry per task; found {tuple(losses.shape)}. "
                "Stack the tasks' scalar losses with torch.stack."
            )
        if not losses.is_floating_point():
            raise UserError(f"`losses` must be floating point, found {losses.dtype}. Convert them with .float().")
        if losses.device != self._device:
            raise UserError(
                f"`losses` are on {losses.device} but the weighting is on {self._device}. "
                f"Move it once, before training: weighting.to('{losses.device}')."
            )
        losses = losses.detach()
        if not losses.is_cpu:
            return self._noted(losses, ahead)
        values: list[float] = losses.tolist()
        # One infinite or NaN entry shows in the sum; a sum that merely overflows passes the loop.
        if not math.isfinite(sum(values)) or (self.needs_positive_losses and min(values) < 0.0):
            for task, value in enumerate(values):
                if not math.isfinite(value) or (self.needs_positive_losses and value < 0.0):
                    raise self._bad_loss(task, repr(value), self.step + ahead)
        return losses

    def _noted(self, losses: Tensor, ahead: int) -> Tensor:
        good = losses.isfinite()
        if self.needs_positive_losses:
            good &= losses >= 0
        first = ~good & (self.first_bad_step == 0)
        self.first_bad_step.copy_(torch.where(first, self.step + ahead, self.first_bad_step))
        return torch.where(good, losses, torch.ones_like(losses))

    def _raise_noted(self) -> None:
        steps: list[int] = self.first_bad_step.tolist()
        if any(steps):
            self.first_bad_step.zero_()
            step, task = min((step, task) for task, step in enumerate(steps) if step)
            raise self._bad_loss(task, "one that is not", step)

    def _bad_loss(self, task: int, found: str, step: int) -> UserError:
        sign = " and not negative" if self.needs_positive_losses else ""
        return UserError(
            f"The loss of '{self.task_names[task]}' must be finite{sign}, found {found} at step {step}. "
            "The weighting's state is unchanged: skip this batch, lower the learning rate, or check that task's data."
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the model to another device, but keep float64 (see the class)."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(keep_dtype, recurse)  # type: ignore[no-untyped-call]
        self._device = self.first_bad_step.device
        return self


def detached() -> UserError:
    """The error for losses that no gradient can flow from."""
    return UserError("`losses` must be attached to the graph for a backward pass; found a detached tensor.")
