"""Losses that a GradScaler of torch.amp has scaled."""

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def factor_of(losses: Tensor) -> Tensor | None:
    """The scalar tensor that losses [M] are a product with, or the first of stacked losses is; None if there is none.

    `GradScaler.scale` makes such a product. One with a plain number is another: its scalar is no float32.
    """
    node: Any = losses.grad_fn
    if node is not None and node.name() == "StackBackward0":
        node = node.next_functions[0][0]
    if node is None or node.name() != "MulBackward0":
        return None
    for factor in (node._saved_other, node._saved_self):
        if isinstance(factor, Tensor) and not factor.dim() and factor.dtype == torch.float32:
            return factor
    return None


def is_scale(factor: Tensor) -> bool:
    """Whether a scalar is the scale of a GradScaler that is alive; looks at all objects, so ask once."""
    return any(float(factor.detach()) == float(scale) for scale in _scales())


def _scales() -> Iterator[Tensor]:
    kinds = list(_kinds(torch.amp.GradScaler))
    for thing in gc.get_referrers(*kinds):  # an object refers to its class
        scale = getattr(thing, "_scale", None) if type(thing) in kinds else None
        if isinstance(scale, Tensor):  # made by the first use; a disabled scaler has none
            yield scale


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    subclasses: list[type] = kind.__subclasses__()
    for below in subclasses:
        yield from _kinds(below)
