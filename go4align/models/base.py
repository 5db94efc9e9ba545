"""What the training loop needs to know of a network."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class MultiTaskModel(nn.Module, ABC):
    """An encoder, whose parameters all tasks share, and usually small heads that read what it computes."""

    @abstractmethod
    def encode(self, batch: Any) -> Tensor:
        """The representation: the losses depend on the shared parameters through it alone."""

    @abstractmethod
    def decode(self, representation: Tensor) -> Any:
        """The heads' outputs, in the form that the benchmark's losses and metrics read."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on."""

    def forward(self, batch: Any) -> Any:
        """The outputs for a batch."""
        return self.decode(self.encode(batch))
