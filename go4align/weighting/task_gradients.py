"""Gradients of every task with respect to the shared parameters: their Gramian, and their weighted sum.

Three ways to the same two results, chosen by what may be kept in memory and by what is known of the network:

- `StoredGradients`: one backward pass per task, all gradients kept as the Jacobian J [M, D]; any network;
- `BatchedGradients`: all tasks in one vectorised pass, reduced to the Gramian layer by layer and thrown away;
- the same from a representation: a pass through each task's head, then one vectorised pass through the encoder.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from go4align.weighting.gramian import add_products
from go4align.weighting.graph import task_roots
from go4align.weighting.layerwise import layerwise_gramian
from go4align.weighting.solver_tools import Matrix


class TaskGradients(ABC):
    """The gradients of M losses with respect to shared parameters of D entries in all; taken when first asked for.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
    """

    def __init__(self, losses: Tensor, parameters: Sequence[Tensor]) -> None:
        self.losses, self.parameters = losses, parameters

    @abstractmethod
    def gramian(self) -> Matrix:
        """G = J J^T [M, M] in float64 on the host, whatever the gradients' dtype is."""

    def combined(self, weights: Tensor) -> list[Tensor]:
        """J^T w for weights [M], one tensor per shared parameter."""
        return gradients_of(self.losses, self.parameters, weights)


class StoredGradients(TaskGradients):
    """One backward pass per task, stored as the rows of J.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
        scratch: holds the Jacobian of the last step, whose memory is used again on a CPU: fresh memory takes the system
            longer to hand out than a copy of the gradients takes.
    """

    def __init__(self, losses: Tensor, parameters: Sequence[Tensor], scratch: list[Tensor]) -> None:
        super().__init__(losses, parameters)
        self.scratch = scratch
        self.sizes = [p.numel() for p in parameters]
        dtype = parameters[0].dtype
        for parameter in parameters:
            dtype = torch.promote_types(dtype, parameter.dtype)
        self.dtype = dtype

    @cached_property
    def jacobian(self) -> Tensor:
        """J [M, D] in the widest of the parameters' dtypes."""
        jacobian = self._empty()
        for row, (root, cotangent) in zip(jacobian, task_roots(self.losses), strict=True):
            gradients = gradients_of(root, self.parameters, cotangent)
            for part, gradient in zip(row.split(self.sizes), gradients, strict=True):
                part.view(gradient.shape).copy_(gradient)
        return jacobian

    def _empty(self) -> Tensor:
        shape, device = (len(self.losses), sum(self.sizes)), self.parameters[0].device
        if device.type != "cpu":
            return torch.empty(shape, dtype=self.dtype, device=device)
        if not self.scratch or (self.scratch[0].shape, self.scratch[0].dtype) != (shape, self.dtype):
            self.scratch[:] = [torch.empty(shape, dtype=self.dtype)]
        return self.scratch[0]

    def gramian(self) -> Matrix:
        gramian = numpy.zeros((len(self.losses),) * 2)
        add_products(gramian, self.jacobian)
        return gramian

    def combined(self, weights: Tensor) -> list[Tensor]:
        if "jacobian" not in self.__dict__:
            return super().combined(weights)
        weights = weights.to(self.jacobian)
        columns = self.jacobian.split(self.sizes, dim=1)
        return [(weights @ part).view_as(p).to(p) for part, p in zip(columns, self.parameters, strict=True)]

    def parts(self, combined: Tensor) -> list[Tensor]:
        """A gradient of all entries [D], cut into one tensor per shared parameter."""
        pieces = combined.split(self.sizes)
        return [piece.view_as(p).to(p, copy=True) for piece, p in zip(pieces, self.parameters, strict=True)]


class BatchedGradients(TaskGradients):
    """All tasks in one vectorised backward pass; no more than one layer's gradients are held at a time.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
        representation: what the shared parameters compute and the task heads read, if the network has such a place;
            only what lies before it is then passed through in a vectorised way.
    """

    def __init__(self, losses: Tensor, parameters: Sequence[Tensor], representation: Sequence[Tensor] = ()) -> None:
        super().__init__(losses, parameters)
        self.outputs = representation or (losses,)
        self._whole = not representation

    @cached_property
    def cotangents(self) -> list[Tensor]:
        """[M, *shape] for each output: every loss's gradient with respect to it."""
        if self._whole:
            return [torch.eye(len(self.losses), dtype=self.losses.dtype, device=self.losses.device)]
        return representation_gradients(self.losses, self.outputs)

    def gramian(self) -> Matrix:
        return layerwise_gramian(self.outputs, self.cotangents, self.parameters)

    def combined(self, weights: Tensor) -> list[Tensor]:
        if "cotangents" not in self.__dict__:
            return super().combined(weights)
        weighted = [torch.tensordot(weights.to(c), c, dims=1) for c in self.cotangents]
        found = torch.autograd.grad(self.outputs, self.parameters, weighted, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, found, strict=True)]


def representation_gradients(losses: Tensor, representation: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of every loss with respect to each tensor z of the representation, [M, *z.shape] each."""
    stacked = [z.new_empty((len(losses), *z.shape)) for z in representation]
    for task, (root, cotangent) in enumerate(task_roots(losses)):
        for rows, gradient in zip(stacked, gradients_of(root, representation, cotangent), strict=True):
            rows[task] = gradient
    return stacked


def gradients_of(root: Tensor | GradientEdge, inputs: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    """The cotangent pulled back from `root` to the inputs; zeros where there is no connection."""
    found = torch.autograd.grad(root, inputs, cotangent, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]
