"""Whether gradients are finite, in one look at all of them."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def norms_on_device(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Of each tensor (on one device) the sum of absolute values, a scalar; nothing waits for it.

    It is finite only if every entry is. A sum that overflows counts as not finite.
    """
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        values = tensor._values() if tensor.is_sparse else tensor
        by_dtype.setdefault(values.dtype, []).append(values.detach())
    sums: list[Tensor] = []
    for dtype, group in by_dtype.items():
        sums += torch._foreach_norm(group, 1, torch.float32 if dtype.itemsize < 4 else None)
    return sums


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every entry is finite."""
    tensors = [tensor for tensor in tensors if tensor.numel()]
    if all(tensor.is_cpu and tensor.dtype.itemsize >= 4 for tensor in tensors):
        likely = all(math.isfinite(float(tensor.detach().sum().real)) for tensor in tensors)
    else:
        likely = all(math.isfinite(norm) for norm in torch.stack(norms_on_device(tensors)).tolist())
    return likely or all(is_finite(tensor) for tensor in tensors)


def is_finite(tensor: Tensor) -> bool:
    """Whether every entry of one tensor is finite."""
    values = tensor._values() if tensor.is_sparse else tensor
    return bool(values.isfinite().all())
