"""SegNet with task heads: the trunk and, for single tasks, the network of the dense benchmarks.

Badrinarayanan et al., "SegNet", TPAMI 2017, in the layout of MTAN (Liu et al., CVPR 2019), which Nash-MTL, CAGrad, FAMO
and GO4Align train: five levels of 64, 128, 256, 512, 512 channels with 2, 2, 3, 3, 3 convolutions, pooled with indices,
and the mirrored decoder. Any height and width: pooling rounds down, and unpooling is told the size it came from (the
published code needs multiples of 32).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from go4align.directions import unit
from go4align.models.base import MultiTaskModel

Output = Literal["classes", "value", "direction"]
"""What a head gives: log-probabilities of classes, numbers as they are, or unit vectors."""

CHANNELS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions of each level."""


def scaled(width: float) -> tuple[int, ...]:
    """The published channels times `width`, at least one each."""
    return tuple(max(1, round(channels * width)) for channels in CHANNELS)


def convolution(n_in: int, n_out: int) -> nn.Sequential:
    """3 x 3, BatchNorm, ReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))


def initialised(model: nn.Module) -> None:
    """As the published networks: Xavier-normal convolutions without offset."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Level(nn.Module):
    """The convolutions of a level; the first one's output is kept, too, for those that attend to it."""

    def __init__(self, n_in: int, n_out: int, depth: int) -> None:
        super().__init__()
        self.first = convolution(n_in, n_out)
        self.rest = nn.Sequential(*(convolution(n_out, n_out) for _ in range(depth - 1)))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The output of the first convolution and of the last, [B, n_out, H, W] each."""
        first = self.first(features)
        return first, self.rest(first)


class Trunk(nn.Module):
    """Encoder and decoder; all tasks share it.

    Args:
        width: factor of all channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.channels = scaled(width)
        levels = zip(pairwise((3, *self.channels)), DEPTHS, strict=True)
        self.encoder = nn.ModuleList(Level(n_in, n_out, depth) for (n_in, n_out), depth in levels)
        outputs = (self.channels[0], *self.channels[:-1])
        mirrored = zip(self.channels, outputs, DEPTHS, strict=True)
        self.decoder = nn.ModuleList(Level(n_in, n_out, depth) for n_in, n_out, depth in mirrored)

    def forward(self, images: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
        """Per level, finest first: (first, last) features of the encoder, (unpooled, last) features of the decoder."""
        encoded: list[tuple[Tensor, Tensor]] = []
        indices: list[Tensor] = []
        features = images
        for level in self.encoder:
            encoded.append(level(features))
            features, index = F.max_pool2d(encoded[-1][1], 2, return_indices=True)
            indices.append(index)
        decoded: list[tuple[Tensor, Tensor]] = []
        for level, (_, before), index in reversed(list(zip(self.decoder, encoded, indices, strict=True))):
            unpooled = F.max_unpool2d(features, index, [2, 2], output_size=before.shape[-2:])
            features = level(unpooled)[1]
            decoded.insert(0, (unpooled, features))
        return encoded, decoded


class Heads(nn.ModuleList):
    """For each task a 3 x 3 and a 1 x 1 convolution, with nothing between them.

    Args:
        n_in: channels that a head reads.
        outputs: per task, what it gives and how many channels.
    """

    def __init__(self, n_in: int, outputs: Sequence[tuple[Output, int]]) -> None:
        super().__init__(
            nn.Sequential(nn.Conv2d(n_in, n_in, 3, padding=1), nn.Conv2d(n_in, n_out, 1)) for _, n_out in outputs
        )
        self.kinds = [kind for kind, _ in outputs]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """[B, n_out, H, W] for each task from its features [B, n_in, H, W]."""
        outputs = zip(self, features, self.kinds, strict=True)
        return tuple(_FINISH[kind](head(x)) for head, x, kind in outputs)


_FINISH: dict[Output, Any] = {
    "classes": lambda x: F.log_softmax(x, 1),
    "value": lambda x: x,
    "direction": unit,
}


class SegNet(MultiTaskModel):
    """All tasks read the trunk's last features. With one task it is the network of the published single-task numbers.

    Args:
        outputs: per task, what its head gives and how many channels.
        width: factor of all channels; 1 as published.
    """

    def __init__(self, outputs: Sequence[tuple[Output, int]], width: float = 1.0) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.heads = Heads(self.trunk.channels[0], outputs)
        initialised(self)

    def encode(self, batch: Any) -> Tensor:
        """The trunk's last features [B, 64 width, H, W] of `batch.images` [B, 3, H, W]."""
        _, decoded = self.trunk(batch.images)
        features: Tensor = decoded[0][1]
        return features

    def decode(self, representation: Any) -> tuple[Tensor, ...]:
        """Per task [B, channels, H, W]."""
        outputs: tuple[Tensor, ...] = self.heads([representation] * len(self.heads))
        return outputs

    def shared_parameters(self) -> list[nn.Parameter]:
        """The trunk's."""
        return list(self.trunk.parameters())


def resized(features: Tensor, like: Tensor) -> Tensor:
    """Bilinear, corners aligned, to the height and width of another tensor."""
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)


def joined(*features: Tensor) -> Tensor:
    """Along channels."""
    return torch.cat(features, 1)
