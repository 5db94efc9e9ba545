"""Kernels written in Triton, which a GPU's torch brings along: one launch in the place of many queued operations.

The operations stay the reference. A kernel is used only where its first result on a device equals the host's; where
Triton is missing, on another device than a GPU, or with GO4ALIGN_KERNELS=0 in the environment, nobody asks for it.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor

from go4align.arrays import Indices, Vector

MOST_TASKS = 64
"""That the kernel of exact K-means takes: one word of 64 bits says where groups end."""


def has_triton(device: torch.device) -> bool:
    """Whether kernels can be tried on a device."""
    return device.type == "cuda" and os.environ.get("GO4ALIGN_KERNELS") != "0" and find_spec("triton") is not None


def agrees(name: str, attempt: Callable[[], Sequence[Tensor]], expected: Sequence[Vector | Indices]) -> bool:
    """Whether a kernel's first results are those expected, to nine digits; a warning says so if not.

    Args:
        name: of what the kernel does, for the warning.
        attempt: imports and runs it; whatever Triton, a compiler, a driver or a device raises means that it cannot be
            used.
        expected: the results on the host.
    """
    try:
        with _host_may_wait():
            found = [tensor.cpu() for tensor in attempt()]
        if all(_close(*pair) for pair in zip(found, expected, strict=True)):
            return True
        reason = "its results differ from the host's"
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    warnings.warn(
        f"The kernel for {name} cannot be used here ({reason}). Training goes on with torch's operations, which are "
        "slower to launch; results are the same.",
        stacklevel=2,
    )
    return False


@contextmanager
def _host_may_wait() -> Iterator[None]:
    """Whatever `torch.cuda.set_sync_debug_mode` says: it waits this once."""
    if not torch.cuda.is_available():
        yield
        return
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("default")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def _close(found: Tensor, expected: Vector | Indices) -> bool:
    return torch.allclose(found.double(), torch.from_numpy(expected).double(), rtol=1e-9, atol=1e-9, equal_nan=True)
