"""The `Weighting` contract: losses in, gradients out, and a detached record of what was done."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from go4align.arrays import Matrix
from go4align.errors import UserError
from go4align.grouping import Grouping, Groups
from go4align.models.base import Representation
from go4align.narrowing import narrowed
from go4align.weighting._engine.apply import NotFinite, accumulate, accumulate_on_device
from go4align.weighting._engine.held import held
from go4align.weighting._engine.labelled import NO_GROUP, cut_off, labelled_tasks, whole
from go4align.weighting._engine.loss_checks import LossChecks, check_attached
from go4align.weighting._engine.shared import Shared, as_shared
from go4align.weighting._engine.undo import State, Unchanged

ONE = torch.ones((), dtype=torch.int64, device="cpu")
"""Added to a count in half the time of a plain 1, on any device."""


class StepRecord(NamedTuple):
    """What one training step did; every tensor is detached.

    Attributes:
        weights: [M], finite, the factor that multiplied each task's gradient of the shared parameters. In the losses'
            dtype; in float64 where that cannot hold one of them and the host looks at losses.
        labels: [M] int64, each task's group in ascending order of centre, -1 for a task without labels in this batch;
            or None without groups.
        centres: [K], the group weights in ascending order, or None without groups (see `go4align.Groups`).
        head_weights: [M], the factor that multiplied each task's gradient of all other parameters; None for `weights`.
        good: a bool scalar on the losses' device: whether all losses and the weighted gradients were good. False means
            that `.grad` holds no step to take (`go4align.training.skip` skips it). None where the losses were checked
            on the host: then all were.
        labelled: [M] bool, as it was given to the step; None where all tasks took part.
    """

    weights: Tensor
    labels: Tensor | None = None
    centres: Tensor | None = None
    head_weights: Tensor | None = None
    good: Tensor | None = None
    labelled: Tensor | None = None


class Weighting(LossChecks, ABC):
    """Turns per-task losses into one gradient step.

    Methods state what they need as attributes, so that a training loop never asks for a method's name.
    All state that later steps depend on is part of `state_dict`, so a resumed run equals an uninterrupted one bit for
    bit. State is kept in float64 whatever the losses' dtype is, and `.float()`, `.half()` or `.to(dtype)` of a model
    that contains the weighting leave it so; `.to(device)` moves it.

    What bad losses do: see `LossChecks`. They never change the state.

    Args:
        n_tasks: number of tasks M, at least 1.
        task_names: M names for error messages, default "task 0" ... "task M-1".
    """

    needs_losses_after: bool = False
    """Whether `after_step` must be called with the losses of the same batch after the optimiser's step."""
    uses_representation: bool = False
    """Whether `representation` should be given, by whoever knows it."""
    depends_on_order: bool = False
    """Whether tasks in another order get other weights: the method draws numbers for positions, or names a task."""
    in_one_pass: bool = True
    """Whether `backward` fills `.grad` in one backward pass of all losses, which hooks on parameters see."""
    is_indicator: bool = True
    """Whether the weights say something of the tasks, so that they can be grouped (`go4align.GO4Align`)."""

    def __init__(self, n_tasks: int, *, task_names: Iterable[str] | None = None) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self._latest_good: Tensor | None = None

    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
        labelled: Tensor | None = None,
    ) -> StepRecord:
        """Take one step of the method's own state and return its weights, unclipped; no `.grad` is touched.

        Arguments and errors are those of `backward`; detached losses will do where no gradients are compared.
        """
        with self.ranks.refusing():
            self._check_form(losses)
            self._look_for_scale(losses)
            shared = as_shared(shared_parameters, representation)
            tasks = labelled_tasks(labelled, self.n_tasks)
        return self._of_labelled(losses, labelled, tasks, lambda present: self._weigh_shared(present, shared))

    def backward(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
        labelled: Tensor | None = None,
    ) -> StepRecord:
        """Accumulate this step's gradients into `.grad`.

        A task without labels in this batch takes no part in the step: the method decides as if the labelled tasks were
        all there are, so that n_groups is at most their number, and sums and normalisations are theirs; what it keeps
        of the absent ones stays as it was. They get weight 0 and group -1, and no gradient. With no labelled task at
        all nothing happens. (For state that an optimiser steps, `parameter_groups`, see `absent_kept`.)

        Args:
            losses: [M], attached to the graph.
            shared_parameters: the parameters that all tasks share, frozen ones among them or not (loss-oriented methods
                do not look at them).
            representation: a tensor, or several, through which alone the losses depend on the shared parameters.
                Methods that compare gradients then pass through each head once and never keep all gradients; the others
                do not look at it.
            labelled: [M] bool, which tasks have labels in this batch; None (default) for all. On the host, or the host
                waits for it. The losses of the others may be anything where `torch.stack` made `losses` of scalars;
                else they must be finite.

        Raises:
            UserError: losses of a wrong shape or dtype, on another device, without a graph, or scaled by a GradScaler
                (unless `takes_scaled_losses`); where they are checked on the host, one that is not finite (or negative
                where the method needs positive ones), or weights or weighted gradients that are not finite; where
                gradients are compared, no shared parameters, a gradient that is not finite, a representation that the
                losses pass by, an operation that cannot be vectorised, or a compiled network that takes one backward
                pass only. The state and `.grad` are left as they were.
        """
        with self.ranks.refusing():
            self._check_form(losses)
            check_attached(losses)
            self._look_for_scale(losses)
            shared = as_shared(shared_parameters, representation)
            tasks = labelled_tasks(labelled, self.n_tasks)
        return self._of_labelled(losses, labelled, tasks, lambda present: self._backward(present, shared))

    def grouped_by(self, grouping: Grouping, losses: Tensor, shared: Shared, gramian: Matrix | None = None) -> Groups:
        """Take one step as an indicator, for checked losses [M]: the groups of its weights.

        A method that knows the logarithm of its weights lets that be grouped, so that nothing underflows.

        Args:
            grouping: what makes groups of them.
            losses: [M].
            shared: see `Shared`.
            gramian: what the grouping may need beside the weights, see `Grouping.group`.
        """
        record = self._record(losses, shared)
        return grouping.group(record.weights, gramian)

    def learn(self, losses: Tensor) -> None:
        """Accumulate gradients of the method's own `parameter_groups` for detached losses [M]."""

    def after_step(self, losses_after: Tensor, *, labelled: Tensor | None = None) -> None:
        """Learn from the losses [M] of the same batch after the optimiser's step (only if `needs_losses_after`).

        Args:
            losses_after: [M].
            labelled: as it was for `backward`.

        Raises:
            UserError: no step before this call, or, where losses are checked on the host, a bad loss (the state is
                left as it was). Elsewhere a bad loss, before or after the step, leaves the state so too.
        """
        with self.ranks.refusing():
            self._check_form(losses_after)
            tasks = labelled_tasks(labelled, self.n_tasks)
        if tasks is None:
            self._after_step(losses_after)
        elif not tasks:
            self._tell_of_none(losses_after)
        else:
            with narrowed(self, tasks):
                self._after_step(losses_after.detach()[tasks])

    def _after_step(self, losses_after: Tensor) -> None:
        losses, marked = self._checked(losses_after, ahead=0)
        if marked is None:
            if not int(self.step):
                raise UserError("`after_step` needs a `backward` before it, found none.")
            self._learn_after(losses)
        elif self._latest_good is not None:
            undo = self._state.undo()
            self._learn_after(losses)
            undo.unless(self._judged(marked, marked, ahead=0) & self._latest_good)

    def end_epoch(self) -> None:
        """Tell the method that an epoch has ended.

        Raises:
            UserError: a loss of this epoch was bad (only where `backward` could not say so, see the class).
        """
        if not self.checks_on_host:
            self._raise_noted()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the learnable parameters, each with its own `lr`; empty for most methods."""
        return []

    @contextmanager
    def absent_kept(self, labelled: Tensor | None) -> Iterator[None]:
        """Around the optimiser's step: what is learnt of absent tasks stays, which its momentum would move.

        Args:
            labelled: as it was for `backward`.
        """
        groups = self.parameter_groups()
        tasks = labelled_tasks(labelled, self.n_tasks) if groups else None
        if tasks is None:
            yield
            return
        absent = [task for task in range(self.n_tasks) if task not in tasks]
        kept = [(parameter, parameter.detach()[absent]) for group in groups for parameter in group["params"]]
        yield
        with torch.no_grad():
            for parameter, before in kept:
                parameter[absent] = before

    def _of_labelled(
        self, losses: Tensor, labelled: Tensor | None, tasks: list[int] | None, take: Callable[[Tensor], StepRecord]
    ) -> StepRecord:
        """Take a step with all losses, or with those of the labelled tasks."""
        if tasks is None:
            return take(losses)
        n_tasks = self.n_tasks
        untouched = self.ranks.untouched(losses, tasks)
        if not tasks:
            self._tell_of_none(losses)
            return StepRecord(torch.zeros_like(losses.detach()), labelled=labelled)
        with cut_off(losses, tasks) as present, narrowed(self, tasks):
            record = take(present)
        for leaf in untouched:
            leaf.grad = None
        heads = record.head_weights
        return record._replace(
            weights=whole(record.weights, tasks, n_tasks),
            labels=None if record.labels is None else whole(record.labels, tasks, n_tasks, NO_GROUP),
            head_weights=None if heads is None else whole(heads, tasks, n_tasks),
            labelled=labelled,
        )

    def _tell_of_none(self, losses: Tensor) -> None:
        """Tell the other ranks of a batch in which no task has labels."""
        self.ranks.mean(losses.detach()[:0], [], True)

    @cached_property
    def _state(self) -> State:
        return State(self)

    @abstractmethod
    def _record(self, losses: Tensor, shared: Shared) -> StepRecord:
        """Take one step of the state; checked losses [M] come attached to the graph where gradients are compared.

        Weights are float64, or exact in the losses' dtype. State is in buffers, which are put back where a loss was
        bad: it changes in place, or, in those that `renewed` names, off the host by another tensor in its place.
        """

    def _count(self, taken: Tensor) -> None:
        """Add a step, if it was taken: a scalar, 1 or True if so."""
        self.step.add_(taken)

    def _learn_after(self, losses: Tensor) -> None:
        """`after_step` for checked, detached losses [M]."""

    def _backward(self, losses: Tensor, shared: Shared) -> StepRecord:
        """`backward`: the gradient of sum(weights * losses), the weights held fixed."""
        checked, marked = self._checked(losses)
        if marked is None:
            with Unchanged(self._state):
                record = self._recorded(losses, checked, shared)
                self._accumulate(losses, record.weights)
        else:
            record = self._taken_on_device(checked, marked, shared, losses)
        self.learn(checked)
        return record

    def _accumulate(self, losses: Tensor, weights: Tensor) -> None:
        if self._scaled:
            losses.backward(weights.to(losses.dtype))  # the scaler looks for what is not finite, and skips the step
            self.ranks.average_gradients()
            return
        try:
            accumulate(losses, weights, self.ranks)
        except NotFinite as found:
            raise self._bad_gradient(found.task, found.dtype, int(self.step)) from None

    def _weigh_shared(self, losses: Tensor, shared: Shared) -> StepRecord:
        checked, marked = self._checked(losses)
        if marked is not None:
            return self._taken_on_device(checked, marked, shared, None)
        with Unchanged(self._state):
            return self._recorded(losses, checked, shared)

    def _recorded(self, losses: Tensor, checked: Tensor, shared: Shared) -> StepRecord:
        """A step where the host may look at weights: they are finite, and in a dtype that holds them."""
        record = self._record(losses if self.needs_gradients else checked, shared)
        self._check_weights_form(record.weights)
        self._check_weights(record.weights)
        self._count(ONE)
        sizes = None if record.weights.dtype == checked.dtype else checked.tolist()
        return record._replace(weights=held(record.weights, checked.dtype, sizes))

    def _taken_on_device(self, checked: Tensor, marked: Tensor, shared: Shared, losses: Tensor | None) -> StepRecord:
        """A step where nothing waits for values; the losses' gradients are taken if they are given."""
        undo = self._state.undo()
        record = self._record(checked, shared)
        self._check_weights_form(record.weights)
        found = record.weights.to(checked.dtype)
        weights = found.nan_to_num()
        norms = [] if losses is None else accumulate_on_device(losses, weights, self.ranks)
        good = self._judged(marked, found, [] if self._scaled else norms)  # a scaler skips the step by itself
        undo.unless(good)
        self._count(good)
        self._latest_good = good
        return record._replace(weights=weights, good=good)
