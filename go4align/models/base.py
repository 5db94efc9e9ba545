"""What the training loop needs to know of a network."""

from abc import ABC, abstractmethod

from torch import nn


class MultiTaskModel(nn.Module, ABC):
    """A network with parameters that all tasks share and, usually, small heads."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on."""
