"""Crops of a batch at once against each picture cropped, resized by torch and flipped by itself."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from go4align.benchmarks.dense.augmentation import SCALES, Crops, bilinear, nearest, scaled_depth, turned

SHAPE = (24, 32)


@pytest.fixture
def crops() -> Crops:
    return Crops.draw(64, *SHAPE, torch.Generator().manual_seed(0))


def one_by_one(pixels: Tensor, crops: Crops, **resize: object) -> Tensor:
    resized = []
    for image, top, left, height, width, flip in zip(
        pixels, crops.top, crops.left, crops.height, crops.width, crops.flip, strict=True
    ):
        crop = image[:, top : top + height, left : left + width]
        found = F.interpolate(crop[None], size=SHAPE, **resize)[0]  # type: ignore[arg-type]
        resized.append(found.flip(-1) if flip else found)
    return torch.stack(resized)


def test_draws_stay_inside_and_take_every_scale(crops: Crops) -> None:
    assert set(crops.scale.tolist()) == {float(torch.tensor(scale)) for scale in SCALES}
    assert 0 < int(crops.flip.sum()) < 64
    assert bool((crops.top + crops.height <= SHAPE[0]).all() and (crops.left + crops.width <= SHAPE[1]).all())
    again = Crops.draw(64, *SHAPE, torch.Generator().manual_seed(0))
    assert torch.equal(again.top, crops.top) and torch.equal(again.flip, crops.flip)


def test_pictures_are_interpolated_and_labels_taken(crops: Crops) -> None:
    pixels = torch.rand(64, 3, *SHAPE, generator=torch.Generator().manual_seed(1))
    expected = one_by_one(pixels, crops, mode="bilinear", align_corners=True)
    torch.testing.assert_close(bilinear(pixels, crops), expected)
    assert torch.equal(nearest(pixels, crops), one_by_one(pixels, crops, mode="nearest"))


def test_depth_and_normals_follow_the_picture(crops: Crops) -> None:
    depth = torch.rand(64, 1, *SHAPE)
    scale = crops.scale[:, None, None, None]
    assert torch.equal(scaled_depth(depth, crops, "divide"), depth / scale)
    assert torch.equal(scaled_depth(depth, crops, "multiply"), depth * scale)
    assert torch.equal(scaled_depth(depth, crops, "keep"), depth)
    normals = F.normalize(torch.randn(64, 3, *SHAPE), dim=1)
    found = turned(0.9 * normals, crops)
    torch.testing.assert_close(found[:, 1:], normals[:, 1:])
    torch.testing.assert_close(found[:, 0], torch.where(crops.flip[:, None, None], -1.0, 1.0) * normals[:, 0])
