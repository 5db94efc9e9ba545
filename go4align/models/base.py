"""What the training loop needs to know of a network."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Representation: TypeAlias = Tensor | Sequence[Tensor]
"""What the shared parameters compute and all task heads read, attached to the graph: a tensor, or a list or tuple of
several, such as feature maps of several scales, which may be computed from one another."""


class MultiTaskModel(nn.Module, ABC):
    """An encoder, whose parameters all tasks share, and usually small heads that read what it computes."""

    @abstractmethod
    def encode(self, batch: Any) -> Representation:
        """The representation: the losses depend on the shared parameters through it alone."""

    @abstractmethod
    def decode(self, representation: Any) -> Any:
        """The heads' outputs for what `encode` gave, in the form that the benchmark's losses and metrics read."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on."""

    def forward(self, batch: Any) -> Any:
        """The outputs for a batch."""
        return self.decode(self.encode(batch))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients, and afterwards every part in the mode that it was in."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def infer(model: MultiTaskModel, batch: Any) -> Any:
    """The outputs of a trained network for a batch, on the network's device and as in evaluation.

    Args:
        model: left in the mode, training or not, that it is in.
        batch: as `Benchmark.batches` gives them.
    """
    with evaluating(model):
        return model(batch.to(next(model.parameters()).device))
