"""Whether gradients are finite, in one look at all of them."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def finite_on_device(tensors: Iterable[Tensor]) -> Tensor:
    """A bool scalar: whether the tensors (at least one, on one device) are finite; nothing waits for it.

    Sums of absolute values tell: they are finite only if every entry is. A sum that overflows counts as not finite.
    """
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        values = tensor._values() if tensor.is_sparse else tensor
        by_dtype.setdefault(values.dtype, []).append(values.detach())
    sums: list[Tensor] = []
    for dtype, group in by_dtype.items():
        wide = torch.float32 if dtype.itemsize < 4 else None
        sums += [total.double() for total in torch._foreach_norm(group, 1, wide)]
    return torch.stack(sums).sum().isfinite()


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every entry is finite."""
    tensors = [tensor for tensor in tensors if tensor.numel()]
    if all(tensor.is_cpu and tensor.dtype.itemsize >= 4 for tensor in tensors):
        likely = all(math.isfinite(float(tensor.detach().sum().real)) for tensor in tensors)
    else:
        likely = bool(finite_on_device(tensors))
    return likely or all(is_finite(tensor) for tensor in tensors)


def is_finite(tensor: Tensor) -> bool:
    """Whether every entry of one tensor is finite."""
    values = tensor._values() if tensor.is_sparse else tensor
    return bool(values.isfinite().all())
