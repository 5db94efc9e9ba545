"""What is asked of losses before a step is taken with them, and when the answer is told."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from go4align.arrays import Vector
from go4align.checks import whole_number
from go4align.errors import UserError
from go4align.narrowing import PerTask
from go4align.weighting._engine.grad_scaler import factor_of, is_scale
from go4align.weighting._engine.ranks import ALONE, Ranks

UNCHANGED = "The weighting's state is unchanged"


class LossChecks(PerTask):
    """The half of a `Weighting` that looks at the losses [M] and counts its steps.

    Bad losses (not finite, or negative where the method needs positive ones) never change the state, nor do losses
    whose weights or weighted gradients are not finite.
    - Where losses are checked on the host (`checks_on_host`: on a CPU, and wherever gradients are compared) a bad one
      is refused at once, and no `.grad` is touched.
    - Elsewhere looking at them would stop the host at every step. A bad loss is noted on the device and counts as 1
      for the recorded weights; the state, the number of steps included, is put back on the device; `.grad` holds no
      step to take, which the record's `good` says there; and `end_epoch` raises the error. Only random numbers, which
      the host draws, are used up by such a step.

    Args:
        n_tasks: number of tasks M, at least 1.
        task_names: M names for error messages, default "task 0" ... "task M-1".
    """

    needs_positive_losses: bool = False
    """Whether a negative loss is an error (zero is always accepted)."""
    needs_gradients: bool = False
    """Whether `shared_parameters` must be given."""
    takes_scaled_losses: bool = False
    """Whether losses times a factor give the step times that factor, which a GradScaler's `unscale_` then takes out."""

    per_task: ClassVar[Mapping[str, int]] = {"first_bad": 1}
    kept_apart: ClassVar[frozenset[str]] = frozenset({"step", "first_bad"})

    first_bad: Tensor
    """[3, M] float64, the first bad step where the host does not look: its number (0 for none), losses, weights."""
    step: Tensor

    def __init__(self, n_tasks: int, *, task_names: Iterable[str] | None = None) -> None:
        super().__init__()
        self.n_tasks = whole_number("n_tasks", n_tasks, 1)
        self.task_names = _names(task_names, n_tasks)
        if len(self.task_names) != n_tasks:
            raise UserError(f"`task_names` must have {n_tasks} entries (one per task), found {len(self.task_names)}.")
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("first_bad", torch.zeros(3, n_tasks, dtype=torch.float64))
        self.tasks: list[int] | None = None
        self.ranks: Ranks = ALONE
        self._device = self.first_bad.device
        self._looked_for_scale = False
        self._scaled = False

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        names = tuple(self.task_names[task] for task in tasks)
        return {**super().narrowed_attributes(tasks), "task_names": names, "tasks": tasks}

    @property
    def checks_on_host(self) -> bool:
        """Whether the host looks at every step's losses, which costs nothing on a CPU; see the class."""
        return self._device.type == "cpu"

    def _check_form(self, losses: Tensor) -> None:
        """Raise `UserError` for what are no losses [M] of this weighting."""
        shape = losses.shape if isinstance(losses, Tensor) else None
        if shape != (self.n_tasks,):
            found = type(losses).__name__ if shape is None else tuple(shape)
            raise UserError(
                f"`losses` must have shape ({self.n_tasks},), one entry per task; found {found}. "
                "Stack the tasks' scalar losses with torch.stack."
            )
        if not losses.is_floating_point():
            raise UserError(f"`losses` must be floating point, found {losses.dtype}. Convert them with .float().")
        if losses.device != self._device:
            raise UserError(
                f"`losses` are on {losses.device} but the weighting is on {self._device}. "
                f"Move it once, before training: weighting.to('{losses.device}')."
            )

    def _checked(self, losses: Tensor, ahead: int = 1) -> tuple[Tensor, Tensor | None]:
        """Return losses to take a step with, or raise `UserError`; and `_marked` ones, None if the host looked.

        They are detached, and the mean of all ranks. `ahead` tells which step they belong to: 1 for the coming one, 0
        for the one that was just made.
        """
        on_host = self.checks_on_host
        mean = self.ranks.mean(losses.detach(), self.tasks, on_host)
        if not on_host:
            marked = self._marked(mean)
            return marked.nan_to_num(1.0, 1.0, 1.0), marked
        self._check_values(mean.tolist(), ahead)
        return mean, None

    def _check_values(self, values: list[float], ahead: int) -> None:
        # One infinite or NaN entry shows in the sum; a sum that merely overflows passes the loop.
        if not math.isfinite(sum(values)) or (self.needs_positive_losses and min(values) < 0.0):
            for task, value in enumerate(values):
                if not math.isfinite(value) or (self.needs_positive_losses and value < 0.0):
                    raise self._bad_loss(task, repr(value), int(self.step) + ahead)

    def _marked(self, losses: Tensor) -> Tensor:
        """Losses [M] of which every bad one is not finite."""
        if not self.needs_positive_losses:
            return losses
        limits = torch.finfo(losses.dtype)
        below_zero = -limits.smallest_normal * limits.eps  # the largest number below zero, which becomes NaN, too
        return torch.threshold(losses, below_zero, math.nan)

    def _judged(self, marked: Tensor, weights: Tensor, norms: Sequence[Tensor] = (), ahead: int = 1) -> Tensor:
        """Whether a step on the device was good, a bool scalar there; the first one that was not is noted.

        Args:
            marked: [M], `_marked` losses.
            weights: [M], in the losses' dtype, finite or not.
            norms: scalars that are finite only if the gradients are.
            ahead: as for `_checked`.
        """
        if marked.element_size() < 4:  # half precision holds no step number beyond a few thousand
            marked = marked.float()
            weights = weights.float()
        number = (self.step + ahead).expand_as(marked)
        evidence = torch.cat([number, marked, weights, *(norm.reshape(1) for norm in norms)])
        good: Tensor = torch.linalg.vector_norm(evidence, 1, dtype=torch.float64) < math.inf
        step = evidence[: 3 * len(marked)].view(3, -1)
        torch.where(good.logical_or(self.first_bad[0]), self.first_bad, step, out=self.first_bad)
        return good

    def _raise_noted(self) -> None:
        steps, losses, weights = self.first_bad.tolist()
        if any(steps):
            self.first_bad.zero_()
            first = min(step for step in steps if step)
            tasks = [task for task, step in enumerate(steps) if step == first]
            for task in tasks:
                if not math.isfinite(losses[task]):
                    raise self._bad_loss(task, "one that is not", int(first))
            parts = {task: abs(weights[task] * losses[task]) for task in tasks}
            largest = max(tasks, key=lambda task: math.inf if math.isnan(parts[task]) else parts[task])
            raise self._bad_gradient(largest, "the parameters' dtype", int(first))

    def _look_for_scale(self, losses: Tensor) -> None:
        factor = None if self._looked_for_scale or not losses.requires_grad else factor_of(losses)
        if factor is None:
            return
        self._scaled = is_scale(factor)
        if self._scaled and not self.takes_scaled_losses:
            raise UserError(
                f"`losses` must not be scaled, found losses that a GradScaler multiplied by {float(factor):g}: this "
                "method's weights depend on the losses' size, so that `unscale_` would not give its step. Call "
                "backward with the losses as they are, without a scaler; train in bfloat16, which needs none."
            )
        self._looked_for_scale = True

    def _check_weights_form(self, weights: object) -> None:
        """Raise `UserError` for what are no weights [M], which anyone's own method may give."""
        if not isinstance(weights, Tensor) or weights.shape != (self.n_tasks,):
            found = f"shape {tuple(weights.shape)}" if isinstance(weights, Tensor) else f"a {type(weights).__name__}"
            raise UserError(
                f"The weights of {type(self).__name__} must be a tensor of shape ({self.n_tasks},), found {found}."
            )

    def _check_weights(self, weights: Tensor) -> None:
        values = weights.tolist()
        if not math.isfinite(sum(values)):
            for task, value in enumerate(values):
                if not math.isfinite(value):
                    raise UserError(
                        f"The weight of '{self.task_names[task]}' must be finite, found {value!r} at step "
                        f"{int(self.step) + 1}. {UNCHANGED}: skip this batch, or bring that task's loss to the scale "
                        "of the others."
                    )

    def _check_finite(self, squares: Vector) -> None:
        """The squared lengths [M] of the tasks' gradients."""
        for task, square in enumerate(squares.tolist()):
            if not math.isfinite(square):
                raise UserError(
                    f"The gradient of '{self.task_names[task]}' must be finite, found one whose squared norm is "
                    f"{square!r} at step {int(self.step) + 1}. The weighting's state is unchanged: skip this batch, "
                    "lower the learning rate, or check that task's loss."
                )

    def _bad_gradient(self, task: int, dtype: object, step: int) -> UserError:
        return UserError(
            f"The gradient of the weighted losses must be finite in {dtype}, found one that is not at step "
            f"{step}, of which that of '{self.task_names[task]}' is the largest part. `.grad` and "
            "the weighting's state are unchanged: skip this batch, lower the learning rate, bring that task's loss to "
            "the scale of the others, or train in bfloat16 or float32 if this is float16."
        )

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
        self._device = self.first_bad.device
        return self


def _names(found: Iterable[str] | None, n_tasks: int) -> tuple[str, ...]:
    if found is None:
        return tuple(f"task {m}" for m in range(n_tasks))
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise UserError(f"`task_names` must be {n_tasks} names, one per task, found {found!r}.")
    return tuple(found)


def check_attached(losses: Tensor) -> None:
    """Raise `UserError` for losses that no gradient can flow from."""
    if not losses.requires_grad:
        raise UserError("`losses` must be attached to the graph for a backward pass; found a detached tensor.")
