r"""Gramian of a linear layer's weight gradients without the weight gradients.

For y = x W^T + b with inputs x [B, n] and output gradients d_i [B, out] of task i the weight's gradient is d_i^T x, so

    <d_i^T x, d_j^T x> = <R d_i, R d_j>   with x^T = Q R, Q of orthonormal columns, R [min(B, n), B].

Where the batch has fewer rows than the layer has inputs, that is less work and less memory by the factor n / B, and
autograd need not compute weight gradients at all.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import Node

from go4align.weighting._engine.graph import is_leaf


class LinearUse(NamedTuple):
    """One linear layer in the graph.

    Attributes:
        node: its function in the graph, called with the output's gradient.
        weight: the leaf W [out, n], used nowhere else.
        inputs: x [B, n].
    """

    node: Node
    weight: Tensor
    inputs: Tensor

    def reduced(self, gradients: Tensor) -> Tensor:
        """[M, B', out] with the same inner products as the weight's gradients, from output gradients [M, B, out]."""
        wide = torch.promote_types(self.inputs.dtype, torch.float32)  # there is no factorisation in half precision
        factor: Tensor = torch.linalg.qr(self.inputs.T.to(wide), mode="r").R
        return factor @ gradients.to(wide)

    def gains(self, n_tasks: int) -> bool:
        """Whether `reduced` costs less than the weight gradients, counted in multiplications.

        R takes about as long as 8 n B^2 multiplications of a matrix product, as it is no matrix product itself.
        """
        rows, size = self.inputs.shape
        return n_tasks * (rows + n_tasks) * len(self.weight) * (size - rows) > 8 * size * rows**2


def linear_uses(outputs: Sequence[Tensor], parameters: Sequence[Tensor], n_tasks: int) -> list[LinearUse]:
    """The linear layers where that pays: weights with a bias, used once, and with few rows in the batch."""
    known = {id(p) for p in parameters}
    nodes, entries = _nodes([t.grad_fn for t in outputs if t.grad_fn is not None])
    return [
        use
        for use in (_linear_use(node, entries, known) for node in nodes if node.name() == "AddmmBackward0")
        if use is not None and use.gains(n_tasks)
    ]


def _linear_use(node: Any, entries: Counter[Node], known: set[int]) -> LinearUse | None:
    """The layer of an `addmm(b, x, W.t())` of known b and W; the bias is needed to make autograd visit the node."""
    (bias, _), _, (transpose, _) = node.next_functions
    if bias is None or transpose is None or transpose.name() != "TBackward0":
        return None
    weight = transpose.next_functions[0][0]
    if not all(is_leaf(leaf) and id(leaf.variable) in known for leaf in (bias, weight)):
        return None
    if (entries[transpose], entries[weight], node._saved_alpha, node._saved_beta) != (1, 1, 1, 1):
        return None
    return LinearUse(node, weight.variable, node._saved_mat1.detach())


def _nodes(roots: list[Node]) -> tuple[list[Node], Counter[Node]]:
    """All functions of the graph, and how many edges lead to each."""
    found = set(roots)
    waiting = list(roots)
    entries = Counter[Node]()
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is None:
                continue
            entries[following] += 1
            if following not in found:
                found.add(following)
                waiting.append(following)
    return list(found), entries
