"""The networks of the image benchmarks have the published sizes, and take pictures of any size."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from go4align.models.attributes import AttributeNetwork
from go4align.models.base import MultiTaskModel
from go4align.models.mtan import MTAN
from go4align.models.segnet import Output, SegNet

NYUV2: list[tuple[Output, int]] = [("classes", 13), ("value", 1), ("direction", 3)]
CITYSCAPES: list[tuple[Output, int]] = [("classes", 7), ("value", 1)]


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "outputs", "parameters"),
    [
        (MTAN, NYUV2, 44_229_073),
        (MTAN, CITYSCAPES, 41_206_984),
        (SegNet, NYUV2, 25_055_185),
        (SegNet, CITYSCAPES, 25_017_672),
        (SegNet, NYUV2[:1], 24_981_069),
        (SegNet, NYUV2[1:2], 24_980_289),
        (SegNet, NYUV2[2:], 24_980_419),
    ],
)
def test_dense_networks_have_the_published_parameters(
    network: type[MTAN] | type[SegNet], outputs: list[tuple[Output, int]], parameters: int
) -> None:
    with torch.device("meta"):
        assert size(network(outputs)) == parameters


def test_the_network_of_attributes_has_the_published_parameters() -> None:
    with torch.device("meta"):
        assert size(AttributeNetwork(40)) == 5_197_160


@pytest.mark.parametrize("network", [MTAN, SegNet])
@pytest.mark.parametrize("shape", [(32, 64), (37, 50)])
def test_outputs_have_the_pictures_size(network: type[MTAN] | type[SegNet], shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = network(NYUV2, width=1 / 16)
    for bias in (parameter for parameter in model.heads.parameters() if parameter.dim() == 1):
        nn.init.normal_(bias)  # few channels, all switched off by ReLU, would give no direction at all
    classes, depth, normals = outputs_of(model, torch.rand(2, 3, *shape))
    assert classes.shape == (2, 13, *shape)
    assert depth.shape == (2, 1, *shape)
    assert normals.shape == (2, 3, *shape)
    torch.testing.assert_close(classes.exp().sum(1), torch.ones(2, *shape))
    torch.testing.assert_close(torch.linalg.vector_norm(normals, dim=1), torch.ones(2, *shape))


def outputs_of(model: MultiTaskModel, images: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = model.decode(model.encode(SimpleNamespace(images=images)))
    return found
