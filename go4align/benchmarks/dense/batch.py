"""Batches of pictures: as they are stored, which is small to move, and as networks and losses read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from go4align.directions import unit
from go4align.transfer import moved

DISPARITY_UNIT = 65535
"""Stored disparities are 16-bit numbers; divided by this they are the inverse depth of published CityScapes data."""


@dataclass(frozen=True)
class DenseBatch:
    """What a network reads, and its targets.

    Attributes:
        images: [B, 3, H, W] in [0, 1].
        labels: [B, H, W] int64, -1 where there is none.
        depth: [B, 1, H, W], metres or inverse depth; 0 where there is none.
        normals: [B, 3, H, W], unit vectors, zero where there is none; None where a benchmark has none at all.
        complete: whether every task surely has a labelled pixel, also after a crop; known without looking at pixels.
    """

    images: Tensor
    labels: Tensor
    depth: Tensor
    normals: Tensor | None = None
    complete: bool = False

    def to(self, device: torch.device) -> DenseBatch:
        normals = None if self.normals is None else moved(self.normals, device)
        return DenseBatch(
            moved(self.images, device),
            moved(self.labels, device),
            moved(self.depth, device),
            normals,
            complete=self.complete,
        )


@dataclass(frozen=True)
class StoredBatch:
    """A batch as prepared data hold it, about a quarter of the decoded one's bytes: moved first, then decoded.

    Attributes:
        images: [B, H, W, 3] uint8.
        labels: [B, H, W] int8.
        depth: [B, H, W], float16 metres, or 16-bit disparities as int16.
        normals: [B, H, W, 3] float16, or None.
        complete: as of `DenseBatch`.
    """

    images: Tensor
    labels: Tensor
    depth: Tensor
    normals: Tensor | None
    complete: bool

    @classmethod
    def of(cls, pixels: Mapping[str, Tensor], complete: bool) -> StoredBatch:
        """Of `image`, `label`, `depth` and perhaps `normal`."""
        return cls(pixels["image"], pixels["label"], pixels["depth"], pixels.get("normal"), complete)

    def to(self, device: torch.device) -> DenseBatch:
        normals = None if self.normals is None else _channels_first(moved(self.normals, device).float())
        return DenseBatch(
            images=_channels_first(moved(self.images, device)).float() / 255,
            labels=moved(self.labels, device).long(),
            depth=_decoded(moved(self.depth, device))[:, None],
            # float16 has unit vectors to three digits: as they are, a perfect prediction would be half a degree off
            normals=None if normals is None else unit(normals),
            complete=self.complete,
        )


def _channels_first(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).contiguous()


def _decoded(depth: Tensor) -> Tensor:
    if depth.dtype == torch.int16:  # the bits of an unsigned number: torch computes with few unsigned types
        return (depth.int() & 0xFFFF).float() / DISPARITY_UNIT
    return depth.float()
