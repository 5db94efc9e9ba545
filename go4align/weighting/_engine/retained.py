"""Backward passes that keep the graph, one for each task; and what a compiled network says of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from go4align.errors import UserError
from go4align.weighting._engine.graph import task_roots


@contextmanager
def retained() -> Iterator[None]:
    """Around backward passes that keep the graph.

    Raises:
        UserError: a network of `torch.compile` whose backward pass was compiled to use its memory again, which one pass
            for each task does not allow.
    """
    try:
        yield
    except RuntimeError as error:
        if "donated buffer" not in str(error):
            raise
        raise UserError(
            "The tasks' gradients are taken one after another through one graph, found a network of torch.compile "
            "whose backward pass frees it (donated buffers). Set torch._functorch.config.donated_buffer = False before "
            "the network's first step, or call torch.compiler.reset() after setting it."
        ) from error


def gradients_of(root: Tensor | GradientEdge, inputs: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    """The cotangent pulled back from `root` to the inputs; zeros where there is no connection. The graph is kept."""
    with retained():
        found = torch.autograd.grad(root, inputs, cotangent, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def in_double(losses: Tensor, inputs: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """The gradient of sum(w L) with respect to the inputs, in float64: no weight enters a narrower graph.

    Every task's gradient is taken by itself, in the graph's dtype, and weighted then.

    Args:
        losses: [M], attached to the graph, which is kept.
        inputs: leaves of the graph, or tensors in it.
        weights: [M] float64.
    """
    total = [torch.zeros_like(x, dtype=torch.float64) for x in inputs]
    for (root, cotangent), weight in zip(task_roots(losses), weights.tolist(), strict=True):
        if weight:
            for part, gradient in zip(total, gradients_of(root, inputs, cotangent), strict=True):
                part.add_(gradient.double(), alpha=weight)
    return total


def largest_part(losses: Tensor, inputs: Sequence[Tensor], weights: Tensor) -> int:
    """The task whose weighted gradient has the largest entry, one that is not a number before all."""
    parts = []
    for (root, cotangent), weight in zip(task_roots(losses), weights.tolist(), strict=True):
        gradients = gradients_of(root, inputs, cotangent) if weight else []
        entries = [g.double().abs().max() * abs(weight) for g in gradients if g.numel()]
        parts.append(torch.stack(entries).max() if entries else losses.new_zeros((), dtype=torch.float64))
    return int(torch.stack(parts).nan_to_num(nan=torch.inf).argmax())
