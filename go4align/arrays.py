"""One formula for two devices: numpy on the CPU, torch elsewhere.

The vectors of this library have M entries, so the time of a step is the number of calls, not their size. On a CPU a
numpy call costs a quarter of a torch call (`bench/weights.py`); on a GPU torch calls queue without stopping the host.
Code written with operators, methods and functions that both have (`exp`, `log`, `where`, `sum`, `argmin`, ...) runs on
either. A type checker sees such a function twice, once per library.
"""

from typing import Any, TypeVar

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", NDArray[Any], Tensor)
"""A numpy array or a torch tensor, mostly float64: whatever comes in goes out."""
Vector = NDArray[numpy.float64]
"""A numpy array [M] of float64."""
Matrix = NDArray[numpy.float64]
"""A numpy array [M, M] of float64."""
Indices = NDArray[numpy.intp]
"""A numpy array of positions, or of groups."""
Mask = NDArray[numpy.bool_]
"""A numpy array of yes or no."""

_NUMPY_DTYPES = {torch.float32: numpy.float32, torch.float64: numpy.float64}


def namespace(array: NDArray[Any] | Tensor) -> Any:
    """The module, numpy or torch, whose functions take the array."""
    return torch if isinstance(array, Tensor) else numpy


def to_array(tensor: Tensor, on_host: bool) -> Any:
    """A detached tensor as float64: on the host a copy in numpy (of any dtype), else a torch tensor where it is."""
    return numpy.array(tensor.tolist()) if on_host else tensor.double()


def to_tensor(array: NDArray[Any] | Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The array as a tensor on its device, converted to `dtype` if one is given."""
    if isinstance(array, Tensor):
        return array if dtype is None else array.to(dtype)
    if dtype is None:
        return torch.from_numpy(array)
    if dtype in _NUMPY_DTYPES:
        return torch.from_numpy(array.astype(_NUMPY_DTYPES[dtype]))
    return torch.from_numpy(array).to(dtype)


def like(tensor: Tensor, array: Array) -> Array:
    """The tensor in the library of the array, and where that is: from a CPU to numpy the memory itself, no copy."""
    found: Array = tensor.to(array.device) if isinstance(array, Tensor) else tensor.numpy()
    return found
