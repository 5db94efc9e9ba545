"""Augmentation equals the published code's for given draws."""

from typing import Any

import pytest
import torch
from devices import here
from oracles import oracle, tensor
from torch.nn import functional as F

from go4align.benchmarks.dense.augmentation import Crops, bilinear, nearest, scaled_depth, turned


@pytest.mark.parametrize("number", range(3))
def test_crops_scales_and_flips_are_the_published_ones(number: int) -> None:
    data = oracle("augmentation")
    case: dict[str, Any] = data["cases"][number]
    image, label, depth, normal = (here(tensor(data["input"][name])) for name in ("image", "label", "depth", "normal"))

    def one(value: Any, dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return here(torch.tensor([value], dtype=dtype))

    crops = Crops(
        top=one(case["i"]),
        left=one(case["j"]),
        height=one(case["h"]),
        width=one(case["w"]),
        scale=one(case["scale"], torch.float64),
        flip=one(case["flip"], torch.bool),
    )
    expected = {name: here(tensor(case[name])) for name in ("image", "label", "depth_divided_by_scale", "normal")}
    torch.testing.assert_close(bilinear(image[None], crops)[0], expected["image"], rtol=1e-5, atol=1e-6)
    assert torch.equal(nearest(label[None, None], crops)[0, 0], expected["label"])
    near = nearest(depth[None], crops)
    torch.testing.assert_close(scaled_depth(near, crops, "divide")[0], expected["depth_divided_by_scale"])
    torch.testing.assert_close(
        scaled_depth(near, crops, "multiply")[0], expected["depth_divided_by_scale"] * case["scale"] ** 2
    )
    published = F.normalize(expected["normal"], dim=0)  # which leaves interpolated normals shorter than 1
    torch.testing.assert_close(turned(bilinear(normal[None], crops), crops)[0], published, rtol=1e-4, atol=1e-5)
