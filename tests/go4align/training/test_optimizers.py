"""Optimisers: torch's with the options said, and weight decay that stays with the network."""

import pytest
import torch
from devices import TEST_DEVICE

from go4align.training.choices import chosen
from go4align.training.optimizers import OPTIMIZERS


def build(found: object, network: torch.Tensor, own: torch.Tensor) -> torch.optim.Optimizer:
    groups = [{"params": [own], "lr": 0.5}]
    return chosen("optimizer", found, OPTIMIZERS).build([torch.nn.Parameter(network)], groups, 0.1)


def moved(optimizer: torch.optim.Optimizer, steps: int = 3) -> list[float]:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    return [parameter.item() for parameter in parameters]


@pytest.mark.parametrize(
    ("found", "theirs"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1)),
        ({"name": "adam", "weight_decay": 0.3}, lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.3)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        (
            {"name": "sgd", "momentum": 0.5, "weight_decay": 0.1, "nesterov": True},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, weight_decay=0.1, nesterov=True),
        ),
    ],
)
def test_the_network_moves_as_torchs_optimiser_moves_it(found: object, theirs: object) -> None:
    optimizer = build(found, torch.ones(1), torch.ones(1, requires_grad=True))
    [expected] = moved(theirs([torch.ones(1, requires_grad=True)]))  # type: ignore[operator]
    assert moved(optimizer)[0] == (expected if TEST_DEVICE == "cpu" else pytest.approx(expected, rel=1e-6))  # fused


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_weightings_own_parameter_has_its_own_rate_and_never_decays(name: str) -> None:
    found = [
        moved(build({"name": name, "weight_decay": decay}, torch.ones(1), torch.ones(1, requires_grad=True)))
        for decay in (0.0, 0.7)
    ]
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]
    assert 1 - found[0][1] == pytest.approx(5 * (1 - found[0][0]), rel=1e-5)
