"""What the training loop needs to know of a network."""

from torch import nn


class MultiTaskModel(nn.Module):
    """A network with parameters that all tasks share and, usually, small heads."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on."""
        raise NotImplementedError
