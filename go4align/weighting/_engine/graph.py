"""Looking into autograd's graph: where each task's loss enters it, and which parameters it ends in."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeGuard

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node


class Leaf(Protocol):
    """A node that accumulates a leaf's gradient."""

    variable: Tensor


def task_roots(losses: Tensor) -> list[tuple[Tensor | GradientEdge, Tensor]]:
    """Where to start each task's backward pass, and with which cotangent.

    `torch.stack` of M scalars leads to M scalars: starting there spares every task the passes through the other tasks'
    heads. Any other losses [M] are entered with the task's unit vector.
    """
    stack = losses.grad_fn
    chosen = range(len(losses))
    if stack is not None and stack.name() == "IndexSelectBackward0":  # some of the tasks
        chosen = stack._saved_index.tolist()  # type: ignore[attr-defined]  # autograd's own
        stack = stack.next_functions[0][0]
    edges = stack.next_functions if stack is not None and stack.name() == "StackBackward0" else ()
    found = [edges[task] for task in chosen] if edges else []
    if found and all(node is not None and not is_leaf(node) for node, _ in found):
        one = torch.ones((), dtype=losses.dtype, device=losses.device)
        return [(GradientEdge(node, number), one) for node, number in found if node is not None]
    units = torch.eye(len(losses), dtype=losses.dtype, device=losses.device)
    return [(losses, unit) for unit in units]


def roots_of(losses: Tensor) -> list[Node]:
    """The nodes that computed each of M scalars that `torch.stack` put together; none of any other losses."""
    stack = losses.grad_fn
    if stack is None or stack.name() != "StackBackward0":
        return []
    return [node for node, _ in stack.next_functions if node is not None]


def leaves(outputs: Iterable[Tensor], beyond: Sequence[Tensor] = ()) -> list[Tensor]:
    """The parameters (and other leaves) that outputs depend on, not looking past the tensors `beyond`."""
    outputs = list(outputs)
    found = [tensor for tensor in outputs if tensor.grad_fn is None]
    return found + leaves_of([tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None], beyond)


def task_leaves(losses: Tensor) -> list[list[Tensor]]:
    """The leaves that each task's loss depends on, which a graph tells after its backward pass, too."""
    stack = losses.grad_fn
    if stack is None or stack.name() != "StackBackward0":
        return [leaves([losses])] * len(losses)
    return [leaves_of([] if node is None else [node]) for node, _ in stack.next_functions]


def owned(losses: Tensor, others: Sequence[Tensor]) -> list[list[Tensor]]:
    """Of each task, those of the leaves that its loss alone depends on; empty where one is of several tasks or none.

    Args:
        losses: [M], attached to the graph.
        others: the leaves to tell apart.
    """
    wanted = {id(leaf) for leaf in others}
    found = [[leaf for leaf in known if id(leaf) in wanted] for known in task_leaves(losses)]
    names = [id(leaf) for known in found for leaf in known]
    return found if len(set(names)) == len(names) == len(others) else []


def leaves_of(roots: Iterable[Node], beyond: Sequence[Tensor] = ()) -> list[Tensor]:
    """`leaves`, from nodes of the graph."""
    found: list[Tensor] = []
    seen = {tensor.grad_fn for tensor in beyond}
    waiting = [node for node in dict.fromkeys(roots) if node not in seen]
    seen.update(waiting)
    while waiting:
        node = waiting.pop()
        if is_leaf(node):
            found.append(node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def is_leaf(node: object) -> TypeGuard[Leaf]:
    """Whether the node accumulates a leaf's gradient."""
    return hasattr(node, "variable")
