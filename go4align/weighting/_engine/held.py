"""The dtype that weights are applied in: the losses', unless that cannot hold them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def held(weights: Tensor, dtype: torch.dtype, sizes: Sequence[float] | None = None) -> Tensor:
    """The weights in a dtype that holds them: `dtype`, or float64 where that would lose one.

    A weight above the largest number of `dtype` is lost, and so is one below its smallest normal number, unless its
    task's part of the weighted sum, weight times size, is nothing beside the largest one.

    Args:
        weights: [M] float64, finite, on the host.
        dtype: of the losses.
        sizes: M sizes of what is weighted, as gradients' lengths; None counts no weight as nothing but zero itself.

    Returns:
        [M], a tensor of its own.
    """
    if weights.dtype == dtype or holds(weights.tolist(), dtype, sizes):
        return weights.to(dtype, copy=True)
    return weights.to(torch.float64, copy=True)


def holds(weights: Sequence[float], dtype: torch.dtype, sizes: Sequence[float] | None = None) -> bool:
    """Whether a dtype holds finite weights, see `held`."""
    limits = torch.finfo(dtype)
    lengths = [abs(weight) for weight in weights]
    if max(lengths) > limits.max:
        return False
    if min(filter(None, lengths), default=limits.tiny) >= limits.tiny:
        return True
    if sizes is None:
        return False
    parts = [length * abs(size) for length, size in zip(lengths, sizes, strict=True)]
    nothing = limits.eps * max(parts)
    return all(length >= limits.tiny or part <= nothing for length, part in zip(lengths, parts, strict=True))
