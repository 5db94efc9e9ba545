"""The processes that take one step together: what each must know of the others, so that all take the same one.

Every rank calls the same collectives in the same order: what decides which ones a step needs is equal on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.distributed as dist
from torch import Tensor

from go4align.errors import UserError
from go4align.weighting._engine.graph import task_leaves

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Ranks:
    """One process alone, which has nothing to exchange."""

    size = 1

    def mean(self, losses: Tensor, tasks: Sequence[int] | None, look: bool) -> Tensor:
        """The mean of the losses over the ranks, bit for bit the same on all.

        Args:
            losses: [m], detached, of the tasks that take part in the step.
            tasks: which of all tasks those are, ascending; None for all.
            look: whether the host may look at values.

        Returns:
            [m] in the losses' dtype; not finite where those of one rank are not.

        Raises:
            UserError: the ranks name different tasks (not finite in place of that, where the host may not look).
        """
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise UserError(
                f"Every process must give the tasks the same weights, found {dist.get_world_size()} processes and a "
                "weighting that sees the losses of one. Call go4align.synchronise(weighting, model) once, before "
                "training."
            )
        return losses

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Around what one rank alone may refuse before it has exchanged anything: then no rank takes the step."""
        yield

    def average(self, tensor: Tensor) -> None:
        """Replace a tensor by its mean over the ranks."""

    def averaged(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The means of tensors over the ranks."""
        return list(tensors)

    def average_gradients(self, beside: Sequence[Tensor] = ()) -> None:
        """Replace `.grad` of the model's parameters, but those `beside`, by its mean over the ranks.

        One that no rank has a gradient of keeps none.
        """

    def reached(self, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        """The leaves of a rank's graph, and whatever else the others' gradients may reach."""
        return leaves

    def untouched(self, losses: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """The leaves that none of these tasks' losses depends on, that have no gradient, and that would get zeros.

        Args:
            losses: [M], of all tasks, attached to the graph or not.
            tasks: that take part in the step.
        """
        return []

    def refuse_passes(self, dtype: torch.dtype) -> None:
        """Refuse a step that is not one backward pass, if something averages gradients during that pass."""


ALONE = Ranks()


class Together(Ranks):
    """The processes of a group, each with an equal part of the batch.

    Args:
        n_tasks: number of tasks M.
        parameters: of the model.
        hooked: those whose gradients DistributedDataParallel averages during the backward pass.
        group: None for all processes.
    """

    def __init__(
        self, n_tasks: int, parameters: Sequence[Tensor], hooked: Sequence[Tensor], group: ProcessGroup | None
    ) -> None:
        self.size = dist.get_world_size(group)
        self._n_tasks = n_tasks
        self._parameters = parameters
        self._device = parameters[0].device
        self._hooked = {id(parameter) for parameter in hooked}
        self._group = group

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def mean(self, losses: Tensor, tasks: Sequence[int] | None, look: bool) -> Tensor:
        chosen = slice(None) if tasks is None else list(tasks)
        told = torch.zeros((2, self._n_tasks), dtype=torch.float64, device=losses.device)
        told[0, chosen] = losses.double()
        told[1, chosen] = 1.0
        every = [torch.empty_like(told) for _ in range(self.size)]
        dist.all_gather(every, told, self._group)
        values, taking_part = torch.stack(every).unbind(1)
        differing = (taking_part != taking_part[0]).any()
        mean = values.mean(0)[chosen]
        if not look:
            return torch.where(differing, torch.nan, mean).to(losses.dtype)
        if differing:
            if taking_part.isnan().any():
                raise UserError(
                    "All ranks must take a step, found one that has refused it. See the error of that process."
                )
            found = "; ".join(str([m for m, there in enumerate(rank) if there]) for rank in taking_part.tolist())
            raise UserError(
                "`labelled` must name the same tasks on all ranks, as the mean over ranks counts each rank alike; "
                f"found the tasks {found}. Give every rank samples that are labelled alike."
            )
        return mean.to(losses.dtype)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            told = torch.full((2, self._n_tasks), torch.nan, dtype=torch.float64, device=self._device)
            dist.all_gather([torch.empty_like(told) for _ in range(self.size)], told, self._group)
            raise

    def average(self, tensor: Tensor) -> None:
        there = tensor.to(self._device)
        there /= self.size  # before the sum, which may be too large for half precision
        dist.all_reduce(there, group=self._group)
        if there is not tensor:
            tensor.copy_(there)

    def averaged(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            chosen = [number for number, tensor in enumerate(tensors) if tensor.dtype == dtype]
            flat = torch.cat([tensors[number].flatten() for number in chosen])
            self.average(flat)
            parts = flat.split([tensors[number].numel() for number in chosen])
            found |= {number: part.view_as(tensors[number]) for number, part in zip(chosen, parts, strict=True)}
        return [found[number] for number in range(len(tensors))]

    def average_gradients(self, beside: Sequence[Tensor] = ()) -> None:
        left_out = self._hooked | {id(parameter) for parameter in beside}
        parameters = [p for p in self._parameters if p.requires_grad and id(p) not in left_out]
        if not parameters:
            return
        if any(p.grad is not None and p.grad.layout != torch.strided for p in parameters):
            raise UserError(
                "Gradients must be dense where several processes average them, found a sparse one. Build the embedding "
                "with sparse=False."
            )
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        there = torch.ones(len(parameters), device=self._device)
        missing = [number for number, p in enumerate(parameters) if p.grad is None]
        there[missing] = 0.0
        *means, shares = self.averaged([*gradients, there])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean)
        for number in missing:
            if shares[number]:
                parameters[number].grad = gradients[number]

    def reached(self, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        found = {id(tensor): tensor for tensor in (*leaves, *(p for p in self._parameters if p.requires_grad))}
        return list(found.values())

    def untouched(self, losses: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        if not self._hooked or losses.grad_fn is None:
            return []
        known = task_leaves(losses)
        present = {id(leaf) for task in tasks for leaf in known[task]}
        others = {id(leaf): leaf for leaves in known for leaf in leaves if id(leaf) not in present}
        return [leaf for leaf in others.values() if leaf.grad is None and id(leaf) in self._hooked]

    def refuse_passes(self, dtype: torch.dtype) -> None:
        if self._hooked:
            raise UserError(
                f"Weights must fit the losses' dtype where DistributedDataParallel averages gradients, whose hooks see "
                f"one backward pass; found weights that {dtype} does not hold. Give losses.float(), bring the losses "
                "to one scale, or train the module itself: go4align.synchronise(weighting, ddp.module)."
            )
