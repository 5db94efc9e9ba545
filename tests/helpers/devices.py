"""The device that the library's tests run on, and what differs there.

`GO4ALIGN_TEST_DEVICE` names it. `tests/go4align/conftest.py` makes it torch's default device, so plain `torch.tensor`,
modules and trainers are there already; what comes from numpy, from a generator on the CPU or from a benchmark's batches
is moved with `here`.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

TEST_DEVICE = os.environ.get("GO4ALIGN_TEST_DEVICE") or "cpu"
ON_GPU = TEST_DEVICE.startswith("cuda")


class Movable(Protocol):
    """A tensor, a module or a batch."""

    def to(self, device: torch.device) -> Self: ...


Thing = TypeVar("Thing", bound=Movable)


def here(thing: Thing) -> Thing:
    """The same on the device under test."""
    return thing.to(torch.get_default_device())


@contextmanager
def errors_where_the_host_waits() -> Iterator[None]:
    """On a GPU whatever waits for it is an error; nothing elsewhere."""
    if not ON_GPU:
        yield
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # that it does not see everything yet
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def filled(centres: Tensor) -> Tensor:
    """The centres of groups that exist: on a GPU with `n_groups="auto"` the rest is NaN (see `Groups`)."""
    return centres[~centres.isnan()]


def why_unusable(device: str) -> str | None:
    """Why torch cannot compute on a device; None where it can."""
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0]
    return None
