"""The number formats of training steps by name.

A precision covers encoder, heads and losses of training steps; weightings see float32 losses, and validation and test
are float32 throughout, so that a metric's value never depends on how fast it was trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Precision(ABC):
    """In what numbers a forward pass is computed."""

    @abstractmethod
    def around(self, device: torch.device) -> AbstractContextManager[Any]:
        """The context that a forward pass on `device` runs in."""


@dataclass(frozen=True)
class Float32(Precision):
    """As the tensors are."""

    def around(self, device: torch.device) -> AbstractContextManager[Any]:
        return nullcontext()


@dataclass(frozen=True)
class BFloat16(Precision):
    """Automatic mixed precision in bfloat16. It has float32's range, so that losses need no scaling, which would come
    between them and their weights; float16 is not offered for that reason."""

    def around(self, device: torch.device) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(device.type, dtype=torch.bfloat16)


PRECISIONS: dict[str, type[Precision]] = {"float32": Float32, "bf16": BFloat16}
