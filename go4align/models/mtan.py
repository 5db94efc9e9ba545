"""MTAN: a SegNet trunk, and for each task an attention network that picks features out of it.

Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019. At each level a mask in [0, 1], from
the trunk's features and from what the task attended to a level before, multiplies the trunk's features; the 3 x 3
convolution after it is shared by all tasks, as the paper has it.

Which parameters are shared? Those that every task's loss depends on: the trunk and the shared 3 x 3 convolutions,
35,163,456 at width 1, as CAGrad counts them. Nash-MTL, FAMO and GO4Align count all but the heads, 44,117,184 with three
tasks, so each task's own attention among them. The Gramians of the tasks' gradients differ on the diagonal alone, since
a task's own parameters have no gradient from the others.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from go4align.models.base import MultiTaskModel
from go4align.models.segnet import Heads, Output, Trunk, convolution, initialised, joined, resized


def mask(n_in: int, n_out: int) -> nn.Sequential:
    """Two 1 x 1 convolutions with BatchNorm, to numbers between 0 and 1."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 1),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(n_out, n_out, 1),
        nn.BatchNorm2d(n_out),
        nn.Sigmoid(),
    )


class Attention(nn.Module):
    """The masks of one task, finest level first.

    Args:
        channels: of the trunk's five levels.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        finer = (channels[0], *channels[:-1])
        before = (0, *channels[1:])  # what the convolution after the mask of the level before gives
        self.encoder = nn.ModuleList(mask(c + b, c) for c, b in zip(channels, before, strict=True))
        self.decoder = nn.ModuleList(mask(c + f, f) for c, f in zip(channels, finer, strict=True))


class MTAN(MultiTaskModel):
    """SegNet with attention for every task.

    Args:
        outputs: per task, what its head gives and how many channels.
        width: factor of all channels; 1 as published.
    """

    def __init__(self, outputs: Sequence[tuple[Output, int]], width: float = 1.0) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        channels = self.trunk.channels
        coarser = (*channels[1:], channels[-1])
        finer = (channels[0], *channels[:-1])
        self.encoder_shared = nn.ModuleList(convolution(c, n) for c, n in zip(channels, coarser, strict=True))
        self.decoder_shared = nn.ModuleList(convolution(c, n) for c, n in zip(channels, finer, strict=True))
        self.attention = nn.ModuleList(Attention(channels) for _ in outputs)
        self.heads = Heads(channels[0], outputs)
        initialised(self)

    def encode(self, batch: Any) -> tuple[Tensor, ...]:
        """For each task the features [B, 64 width, H, W] that it picked, from `batch.images` [B, 3, H, W]."""
        encoded, decoded = self.trunk(batch.images)
        return tuple(self._attend(task, encoded, decoded) for task in self.attention)

    def _attend(self, task: Any, encoded: list[tuple[Tensor, Tensor]], decoded: list[tuple[Tensor, Tensor]]) -> Tensor:
        picked: Tensor | None = None
        for (first, last), attend, shared in zip(encoded, task.encoder, self.encoder_shared, strict=True):
            read = first if picked is None else joined(first, picked)
            picked = F.max_pool2d(shared(attend(read) * last), 2)
        assert picked is not None
        levels = list(zip(decoded, task.decoder, self.decoder_shared, strict=True))
        for (unpooled, last), attend, shared in reversed(levels):
            wider = shared(resized(picked, unpooled))
            picked = attend(joined(unpooled, wider)) * last
        return picked

    def decode(self, representation: Any) -> tuple[Tensor, ...]:
        """Per task [B, channels, H, W]."""
        outputs: tuple[Tensor, ...] = self.heads(representation)
        return outputs

    def shared_parameters(self) -> list[nn.Parameter]:
        """The trunk's, and those of the convolutions that all tasks' attention goes through; see the module."""
        modules = (self.trunk, self.encoder_shared, self.decoder_shared)
        return [parameter for module in modules for parameter in module.parameters()]
