"""Gradients of every task with respect to the shared parameters: their Gramian, and their weighted sum.

Three ways to the same two results, chosen by what may be kept in memory and by what is known of the network:

- `StoredGradients`: one backward pass per task, all gradients kept as the Jacobian J [M, D]; any network;
- `BatchedGradients`: all tasks in one vectorised pass, reduced to the Gramian layer by layer and thrown away;
- the same from a representation: a pass through each task's head, then one vectorised pass through the encoder;

and one to other results: `RepresentationGradients`, those of the representation alone, in place of the parameters'.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix
from go4align.weighting._engine.finite import all_finite
from go4align.weighting._engine.gramian import COLUMNS, add_products
from go4align.weighting._engine.graph import task_roots
from go4align.weighting._engine.held import holds
from go4align.weighting._engine.layerwise import layerwise_gramian
from go4align.weighting._engine.ranks import ALONE, Ranks
from go4align.weighting._engine.retained import gradients_of, in_double, retained


class TaskGradients(ABC):
    """The gradients of M losses with respect to shared parameters of D entries in all; taken when first asked for.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
        ranks: whose mean gradients they are; those of the heads are this rank's own.
    """

    def __init__(self, losses: Tensor, parameters: Sequence[Tensor], ranks: Ranks) -> None:
        self.losses = losses
        self.parameters = parameters
        self.ranks = ranks
        self.heads: list[list[Tensor]] = []
        """Of each task, the gradients of what its loss alone depends on; empty where they were not taken."""

    @abstractmethod
    def gramian(self) -> Matrix:
        """G = J J^T [M, M] in float64 on the host, whatever the gradients' dtype is."""

    def combined(self, weights: Tensor, sizes: Sequence[float] | None) -> list[Tensor]:
        """J^T w for weights [M] float64 and the gradients' lengths if known, one tensor per shared parameter.

        They have the parameters' dtypes; or float64, where the losses' dtype, or that of the gradients, does not hold
        the weights or what they make of the gradients.
        """
        if holds(weights.tolist(), self.dtype, sizes):
            found = self._combined(weights.to(self.losses.device, self.dtype))
            if all_finite(found):
                return found
        return self._in_double(weights)

    @property
    def dtype(self) -> torch.dtype:
        """That weights meet."""
        return self.losses.dtype

    def _combined(self, weights: Tensor) -> list[Tensor]:
        return self.ranks.averaged(gradients_of(self.losses, self.parameters, weights))

    def _in_double(self, weights: Tensor) -> list[Tensor]:
        return self.ranks.averaged(in_double(self.losses, self.parameters, weights))


class StoredGradients(TaskGradients):
    """One backward pass per task, stored as the rows of J.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
        scratch: holds the Jacobian of the last step, whose memory is used again on a CPU: fresh memory takes the system
            longer to hand out than a copy of the gradients takes.
        own: of each task, the leaves that its loss alone depends on, whose gradients the same pass gives; or none.
        ranks: see `TaskGradients`.
    """

    def __init__(
        self,
        losses: Tensor,
        parameters: Sequence[Tensor],
        scratch: list[Tensor],
        own: Sequence[Sequence[Tensor]] = (),
        *,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(losses, parameters, ranks)
        self.scratch = scratch
        self._own = own
        self.sizes = [p.numel() for p in parameters]
        dtype = parameters[0].dtype
        for parameter in parameters:
            dtype = torch.promote_types(dtype, parameter.dtype)
        self.widest = dtype

    @property
    def dtype(self) -> torch.dtype:
        """That of J, once there is one."""
        return self.widest if self._is_stored() else self.losses.dtype

    @cached_property
    def jacobian(self) -> Tensor:
        """J [M, D] in the widest of the parameters' dtypes."""
        jacobian = self._empty()
        for task, (root, cotangent) in enumerate(task_roots(self.losses)):
            own = self._own[task] if self._own else ()
            gradients = gradients_of(root, [*self.parameters, *own], cotangent)
            shared = gradients[: len(self.parameters)]
            for part, gradient in zip(jacobian[task].split(self.sizes), shared, strict=True):
                part.view(gradient.shape).copy_(gradient)
            if self._own:
                self.heads.append(gradients[len(shared) :])
        self.ranks.average(jacobian)
        return jacobian

    def _empty(self) -> Tensor:
        shape = (len(self.losses), sum(self.sizes))
        device = self.parameters[0].device
        if device.type != "cpu":
            return torch.empty(shape, dtype=self.widest, device=device)
        if not self.scratch or (self.scratch[0].shape, self.scratch[0].dtype) != (shape, self.widest):
            self.scratch[:] = [torch.empty(shape, dtype=self.widest)]
        return self.scratch[0]

    def gramian(self) -> Matrix:
        gramian = numpy.zeros((len(self.losses),) * 2)
        add_products(gramian, self.jacobian)
        return gramian

    def _is_stored(self) -> bool:
        return "jacobian" in self.__dict__

    def _combined(self, weights: Tensor) -> list[Tensor]:
        if not self._is_stored():
            return super()._combined(weights)
        if self.widest.itemsize < 4:
            return self._in_double(weights)
        columns = self.jacobian.split(self.sizes, dim=1)
        return [(weights @ part).view_as(p).to(p) for part, p in zip(columns, self.parameters, strict=True)]

    def _in_double(self, weights: Tensor) -> list[Tensor]:
        if not self._is_stored():
            return super()._in_double(weights)
        wide = weights.to(self.jacobian.device, torch.float64)
        blocks = [wide @ block.double() for block in self.jacobian.split(COLUMNS * 64, dim=1)]
        return self.parts(torch.cat(blocks))

    def parts(self, combined: Tensor) -> list[Tensor]:
        """A gradient of all entries [D], cut into one tensor per shared parameter, a copy in the given dtype."""
        pieces = combined.split(self.sizes)
        return [piece.view_as(p).clone() for piece, p in zip(pieces, self.parameters, strict=True)]


class BatchedGradients(TaskGradients):
    """All tasks in one vectorised backward pass; no more than one layer's gradients are held at a time.

    Args:
        losses: [M], attached to the graph, which is kept.
        parameters: the shared parameters, at least one.
        representation: what the shared parameters compute and the task heads read, if the network has such a place;
            only what lies before it is then passed through in a vectorised way.
        ranks: see `TaskGradients`.
    """

    def __init__(
        self,
        losses: Tensor,
        parameters: Sequence[Tensor],
        representation: Sequence[Tensor] = (),
        *,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(losses, parameters, ranks)
        self.outputs = representation or (losses,)
        self._whole = not representation

    @cached_property
    def cotangents(self) -> list[Tensor]:
        """[M, *shape] for each output: every loss's gradient with respect to it."""
        if self._whole:
            return [torch.eye(len(self.losses), dtype=self.losses.dtype, device=self.losses.device)]
        return representation_gradients(self.losses, self.outputs)

    def gramian(self) -> Matrix:
        return layerwise_gramian(self.outputs, self.cotangents, self.parameters, self.ranks)

    def _combined(self, weights: Tensor) -> list[Tensor]:
        if "cotangents" not in self.__dict__:
            return super()._combined(weights)
        weighted = [torch.tensordot(weights.to(c), c, dims=1) for c in self.cotangents]
        with retained():
            found = torch.autograd.grad(self.outputs, self.parameters, weighted, retain_graph=True, allow_unused=True)
        return self.ranks.averaged(
            [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, found, strict=True)]
        )


class RepresentationGradients(BatchedGradients):
    """The Gramian of the gradients with respect to the representation: no pass through the encoder but the step's own.

    Not that of the parameters' gradients: Sener and Koltun (NeurIPS 2018, MGDA-UB) show that min-norm weights from it
    bound those, and LibMTL offers it for all methods (`rep_grad`).
    """

    def gramian(self) -> Matrix:
        gramian = numpy.zeros((len(self.losses),) * 2)
        for rows in self.cotangents:
            add_products(gramian, rows)
        self.ranks.average(torch.from_numpy(gramian))
        return gramian / self.ranks.size  # the samples are different ones on every rank, and so are the entries


def representation_gradients(losses: Tensor, representation: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of every loss with respect to each tensor z of the representation, [M, *z.shape] each."""
    stacked = [z.new_empty((len(losses), *z.shape)) for z in representation]
    for task, (root, cotangent) in enumerate(task_roots(losses)):
        for rows, gradient in zip(stacked, gradients_of(root, representation, cotangent), strict=True):
            rows[task] = gradient
    return stacked
