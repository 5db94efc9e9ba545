"""One formula for two devices: numpy on the CPU, torch elsewhere.

The vectors of this library have M entries, so the time of a step is the number of calls, not their size. On a CPU a
numpy call costs a quarter of a torch call; on a GPU torch calls queue without stopping the host. Code written with
operators, methods and functions that both have (`exp`, `log`, `where`, `sum`, `argmin`, ...) runs on either.
"""

from typing import Any, TypeAlias

import numpy
import torch
from torch import Tensor

Array: TypeAlias = Any
"""A `numpy.ndarray` or a `torch.Tensor`, mostly float64."""

_NUMPY_DTYPES = {torch.float32: numpy.float32, torch.float64: numpy.float64}


def namespace(array: Array) -> Any:
    """The module, numpy or torch, whose functions take the array."""
    return torch if isinstance(array, Tensor) else numpy


def to_array(tensor: Tensor) -> Array:
    """A detached tensor as float64: a copy in numpy from the CPU (of any dtype), a torch tensor from elsewhere."""
    return numpy.array(tensor.tolist()) if tensor.is_cpu else tensor.double()


def to_tensor(array: Array, dtype: torch.dtype | None = None) -> Tensor:
    """The array as a tensor on its device, converted to `dtype` if one is given."""
    if isinstance(array, Tensor):
        return array if dtype is None else array.to(dtype)
    if dtype is None:
        return torch.from_numpy(array)
    if dtype in _NUMPY_DTYPES:
        return torch.from_numpy(array.astype(_NUMPY_DTYPES[dtype]))
    return torch.from_numpy(array).to(dtype)


def shared(tensor: Tensor) -> Array:
    """The tensor's own memory as an array: writing to the one writes to the other."""
    return tensor.numpy() if tensor.is_cpu else tensor
