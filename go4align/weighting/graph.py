"""Looking into autograd's graph: where each task's loss enters it, and which parameters it ends in."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

Node: TypeAlias = Any
"""A function of autograd's graph (its types are not public)."""


def task_roots(losses: Tensor) -> list[tuple[Tensor | GradientEdge, Tensor]]:
    """Where to start each task's backward pass, and with which cotangent.

    `torch.stack` of M scalars leads to M scalars: starting there spares every task the passes through the other tasks'
    heads. Any other losses [M] are entered with the task's unit vector.
    """
    stack: Node = losses.grad_fn
    edges = stack.next_functions if stack is not None and stack.name() == "StackBackward0" else ()
    if len(edges) == len(losses) and all(node is not None and not is_leaf(node) for node, _ in edges):
        one = torch.ones((), dtype=losses.dtype, device=losses.device)
        return [(GradientEdge(node, number), one) for node, number in edges]
    units = torch.eye(len(losses), dtype=losses.dtype, device=losses.device)
    return [(losses, unit) for unit in units]


def leaves(outputs: Iterable[Tensor], beyond: Sequence[Tensor] = ()) -> list[Tensor]:
    """The parameters (and other leaves) that outputs depend on, not looking past the tensors `beyond`."""
    ends = {tensor.grad_fn for tensor in beyond}
    found: list[Tensor] = []
    seen: set[Node] = set(ends)
    waiting: list[Node] = []
    for tensor in outputs:
        if tensor.grad_fn is None:
            found.append(tensor)
        elif tensor.grad_fn not in seen:
            waiting.append(tensor.grad_fn)
            seen.add(tensor.grad_fn)
    while waiting:
        node = waiting.pop()
        if is_leaf(node):
            found.append(node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def is_leaf(node: Any) -> bool:
    """Whether the node accumulates a leaf's gradient."""
    return hasattr(node, "variable")
