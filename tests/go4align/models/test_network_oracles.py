"""The dense networks give what the published ones give, filled by the same rule: outputs, losses and Gramians."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from oracles import hashed, oracle
from torch import Tensor, nn
from torch.nn import functional as F

from go4align.metrics.depth import l1
from go4align.metrics.normals import one_minus_cosine
from go4align.metrics.segmentation import cross_entropy
from go4align.models.mtan import MTAN
from go4align.models.segnet import Output, SegNet

pytestmark = pytest.mark.cpu_only("float64 references of a CPU")

OUTPUTS: list[tuple[Output, int]] = [("classes", 13), ("value", 1), ("direction", 3)]
NETWORKS: dict[str, Any] = {"nyuv2_segnet_mtan": MTAN, "nyuv2_segnet_split": SegNet}


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def in_published_order(model: Any) -> list[nn.Conv2d]:
    """Trunk; what all attention shares; then for each task its attention and its head."""
    found = [conv for level in model.trunk.encoder for conv in convolutions(level)]
    found += [conv for level in reversed(model.trunk.decoder) for conv in convolutions(level)]
    if isinstance(model, MTAN):
        found += convolutions(model.encoder_shared)
        found += [conv for level in reversed(model.decoder_shared) for conv in convolutions(level)]
    for task, head in enumerate(model.heads):
        if isinstance(model, MTAN):
            found += convolutions(model.attention[task].encoder)
            found += [conv for level in reversed(model.attention[task].decoder) for conv in convolutions(level)]
        found += convolutions(head)
    return found


def filled(name: str) -> Any:
    model = NETWORKS[name](OUTPUTS).double()
    order = in_published_order(model)
    assert len(order) == len(convolutions(model))
    with torch.no_grad():
        for serial, conv in enumerate(order):
            fan_in = conv.weight[0].numel()
            conv.weight.copy_((2 * hashed(serial, tuple(conv.weight.shape)) - 1) * (6 / fan_in) ** 0.5)
            if conv.bias is not None:
                conv.bias.zero_()
    return model


def same(found: Tensor, expected: dict[str, Any], rtol: float = 1e-7) -> None:
    assert list(found.shape) == expected["shape"]
    numbers = {
        "mean": found.mean(),
        "std_population": found.std(correction=0),
        "min": found.min(),
        "max": found.max(),
    }
    for key, value in numbers.items():
        assert float(value) == pytest.approx(expected[key], rel=rtol, abs=1e-12), key
    assert found.flatten()[:8].tolist() == pytest.approx(expected["first8_flat"], rel=rtol, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_losses_and_gramians_are_the_published_ones(name: str) -> None:
    known = oracle("dense_forward")[name]
    model = filled(name)
    n, _, height, width = known["input_shape"]
    batch = SimpleNamespace(images=hashed(1000, known["input_shape"]))
    keys = ("semantic", "depth", "normal")
    with torch.no_grad():
        for key, output in zip(keys, model.eval()(batch), strict=True):
            same(output, known["eval_hash"]["outputs"][key])
    outputs = model.train()(batch)
    for key, output in zip(keys, outputs, strict=True):
        same(output.detach(), known["train_hash"]["outputs"][key])
    label = (13 * hashed(2002, (n, height, width))).floor().long()
    label[hashed(2001, (n, height, width)) < 0.1] = -1
    depth = 0.7 + 9 * hashed(2003, (n, 1, height, width))
    depth[hashed(2004, (n, 1, height, width)) < 0.2] = 0
    normal = F.normalize(2 * hashed(2005, (n, 3, height, width)) - 1, dim=1)
    normal = normal * (hashed(2006, (n, 1, height, width)) >= 0.2)
    losses = [cross_entropy(outputs[0], label), l1(outputs[1], depth), one_minus_cosine(outputs[2], normal)]
    assert [loss.item() for loss in losses] == pytest.approx(
        [known["train_hash"]["losses"][key] for key in keys], rel=1e-9
    )
    heads = {id(parameter) for parameter in model.heads.parameters()}
    readings = {
        "gramian_of_task_gradients_over_official_shared_parameters": [
            p for p in model.parameters() if id(p) not in heads
        ]
    }
    if isinstance(model, MTAN):
        readings["gramian_over_trunk_only_35163456"] = model.shared_parameters()
    for key, parameters in readings.items():
        rows = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
        gramian = [
            [
                sum(float((a * b).sum()) for a, b in zip(one, other, strict=True) if a is not None and b is not None)
                for other in rows
            ]
            for one in rows
        ]
        for found, expected in zip(gramian, known["train_hash"][key], strict=True):
            assert found == pytest.approx(expected, rel=1e-6)
