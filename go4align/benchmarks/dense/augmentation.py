"""Random crops, scaled up, and flips, as MTAN's authors train on NYUv2 and CityScapes; a whole batch at once.

Each image draws its own scale from {1, 1.2, 1.5}, its own crop of int(H / scale) x int(W / scale) pixels, which is
resized to H x W, and with probability one half a flip along its width. Images and normals are interpolated (bilinear,
corners aligned), labels and depths take the nearest pixel. A crop that is scaled up shows the scene nearer by the
scale, so depth is divided by it; a flipped normal looks the other way along x.

Interpolated normals are not of unit length where neighbours differ; published code leaves them so, and here they are
normalised again.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from go4align.directions import unit

SCALES = (1.0, 1.2, 1.5)

DepthRule = Literal["divide", "multiply", "keep"]
"""What becomes of a depth in a picture that is scaled up: metres are divided, inverse depth should be multiplied."""


@dataclass(frozen=True)
class Crops:
    """One draw for each of B images, [B] each: where its crop begins and how large it is, in pixels; scale; flip."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    scale: Tensor
    flip: Tensor

    @classmethod
    def draw(cls, n: int, height: int, width: int, generator: torch.Generator) -> "Crops":
        """Draw for n images of H x W pixels, on the generator's device."""
        device = generator.device
        chosen = torch.randint(len(SCALES), (n,), generator=generator, device=device)
        heights, widths = (
            torch.tensor([int(size / scale) for scale in SCALES], device=device)[chosen] for size in (height, width)
        )
        top, left, flip = torch.rand(3, n, generator=generator, device=device, dtype=torch.float64)
        return cls(
            top=(top * (height - heights + 1)).long(),
            left=(left * (width - widths + 1)).long(),
            height=heights,
            width=widths,
            scale=torch.tensor(SCALES, device=device)[chosen],
            flip=flip < 0.5,
        )


def nearest(pixels: Tensor, crops: Crops) -> Tensor:
    """[B, C, H, W] -> the same shape, every pixel from its nearest in the crop."""
    rows = crops.top[:, None] + _floor(pixels.shape[2], crops.height)
    columns = crops.left[:, None] + _floor(pixels.shape[3], crops.width)
    return _taken(pixels, rows, _flipped(columns, crops))


def bilinear(pixels: Tensor, crops: Crops) -> Tensor:
    """[B, C, H, W] -> the same shape, interpolated between the pixels of the crop, corners aligned."""
    top, bottom, down = _between(pixels.shape[2], crops.top, crops.height)
    left, right, along = (_flipped(x, crops) for x in _between(pixels.shape[3], crops.left, crops.width))
    down, along = (share[:, None].to(pixels.dtype) for share in (down, along))
    down, along = down[..., None], along[:, :, None]
    above = _taken(pixels, top, left) * (1 - along) + _taken(pixels, top, right) * along
    below = _taken(pixels, bottom, left) * (1 - along) + _taken(pixels, bottom, right) * along
    return above * (1 - down) + below * down


def scaled_depth(depth: Tensor, crops: Crops, rule: DepthRule) -> Tensor:
    """Depth [B, 1, H, W] as the scaled picture has it; 0 stays 0."""
    scale = crops.scale.to(depth.dtype)[:, None, None, None]
    if rule == "keep":
        return depth
    return depth / scale if rule == "divide" else depth * scale


def turned(normals: Tensor, crops: Crops) -> Tensor:
    """Normals [B, 3, H, W] of a flipped picture look the other way along x; all are of unit length, or zero."""
    sign = torch.ones_like(normals[:, :, :1, :1])
    sign[:, 0, 0, 0] = torch.where(crops.flip, -1.0, 1.0).to(normals.dtype)
    return unit(normals * sign)


def _floor(size: int, crop: Tensor) -> Tensor:
    """[B, size]: where in a crop each of `size` pixels comes from."""
    return torch.arange(size, device=crop.device) * crop[:, None] // size


def _between(size: int, start: Tensor, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[B, size] each: the pixels before and after each place, and how far it is from the one to the other."""
    place = torch.arange(size, device=crop.device) * ((crop - 1).double() / max(size - 1, 1))[:, None]
    before = place.long()
    after = torch.minimum(before + 1, (crop - 1)[:, None])
    return start[:, None] + before, start[:, None] + after, place - before


def _flipped(columns: Tensor, crops: Crops) -> Tensor:
    return torch.where(crops.flip[:, None], columns.flip(1), columns)


def _taken(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """pixels[b, :, rows[b, y], columns[b, x]], [B, C, H, W]."""
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return pixels[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
