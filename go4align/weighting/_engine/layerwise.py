"""The Gramian layer by layer: one vectorised backward pass whose gradients are reduced on the spot, never kept.

TorchJD's autogram does this with hooks on modules; here hooks sit on the graph of the step at hand, so any function of
the parameters will do as long as `torch.func.vmap` can vectorise its backward pass.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix
from go4align.errors import UserError
from go4align.weighting._engine.gramian import add_products
from go4align.weighting._engine.linear_layers import LinearUse, linear_uses
from go4align.weighting._engine.ranks import ALONE, Ranks
from go4align.weighting._engine.retained import retained

Consumer = Callable[[Tensor], None]


def layerwise_gramian(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], parameters: Sequence[Tensor], ranks: Ranks = ALONE
) -> Matrix:
    """G[i, j] = <c_i pulled back to the parameters, c_j pulled back to the parameters>.

    Args:
        outputs: tensors attached to the graph, which is kept.
        cotangents: one [M, *shape] per output.
        parameters: leaves of the graph; one without connection counts as zero.
        ranks: whose mean gradients are meant, so that each layer's gradients are exchanged.

    Raises:
        UserError: an operation cannot be vectorised.
    """
    gramian = numpy.zeros((len(cotangents[0]),) * 2)
    uses = linear_uses(outputs, parameters, len(gramian)) if ranks.size == 1 else []
    direct = [p for p in parameters if not any(p is use.weight for use in uses)]
    handles = [p.register_hook(_reducing(lambda rows: add_products(gramian, *ranks.averaged([rows])))) for p in direct]
    handles += [use.node.register_prehook(_noting(use, gramian)) for use in uses]

    def pull_back(*one_task: Tensor) -> tuple[Tensor, ...]:
        found = torch.autograd.grad(outputs, direct, one_task, retain_graph=True, allow_unused=True)
        return tuple(gradient for gradient in found if gradient is not None)

    try:
        with retained():
            torch.func.vmap(pull_back)(*cotangents)
    except RuntimeError as error:
        raise UserError(
            'Gradients of all tasks at once (gramian="layerwise", or a representation) need a backward pass that '
            f'torch.func.vmap can vectorise, found: {error}. Use gramian="stored" without a representation.'
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return gramian


def _reducing(consume: Consumer) -> Callable[[Tensor], Tensor]:
    return lambda gradient: _Reduce.apply(gradient, consume)  # type: ignore[no-untyped-call]


def _noting(use: LinearUse, gramian: Matrix) -> Callable[[Sequence[Tensor]], None]:
    def hook(gradients: Sequence[Tensor]) -> None:
        _Reduce.apply(gradients[0], lambda rows: add_products(gramian, use.reduced(rows)))  # type: ignore[no-untyped-call]

    return hook


class _Reduce(torch.autograd.Function):
    """Hands the gradients of all tasks [M, *shape] to a consumer and goes on with zeros that take no memory."""

    @staticmethod
    def forward(gradient: Tensor, consume: Consumer) -> Tensor:
        """A gradient without the tasks' dimension does not depend on the task; a linear map has only zero for that."""
        return torch.zeros_like(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing: no gradient flows through it."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], gradient: Tensor, consume: Consumer) -> tuple[Tensor, None]:
        """Called once with the gradients of all tasks."""
        del info
        rows = gradient.movedim(in_dims[0] or 0, 0)
        consume(rows)
        return gradient.new_zeros(()).expand(rows.shape[1:]), None
