"""What methods that compare gradients compute, counted in floating-point operations of a plain sum's step."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from go4align import UserError, available_methods, build_weighting, hyperparameters
from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.nyuv2.benchmark import NYUv2

METHODS = [name for name in available_methods() if build_weighting(name, n_tasks=2).needs_gradients]
GRAMIAN_METHODS = [name for name in METHODS if "gramian" in hyperparameters(name)]


def operations(benchmark: Benchmark, method: str, **options: str) -> float:
    """Of forward and backward pass."""
    torch.manual_seed(0)
    model = benchmark.build_model()
    weighting = build_weighting(method, benchmark.n_tasks, **options)
    batch = next(iter(benchmark.batches("train", 4))).to(torch.get_default_device())
    with FlopCounterMode(display=False) as counter:
        representation = model.encode(batch)
        losses = benchmark.losses(model.decode(representation), batch)
        told = [representation] if weighting.uses_representation else None
        weighting.backward(losses, shared_parameters=model.shared_parameters(), representation=told)
    return counter.get_total_flops()


@pytest.mark.parametrize("method", METHODS)
def test_on_mtan_each_loss_passes_back_through_the_trunk_and_its_own_attention_alone(method: str) -> None:
    """Published code goes back through the whole graph for each task: 2.33 times a plain sum's operations."""
    benchmark = NYUv2.small()
    assert operations(benchmark, method) < 1.4 * operations(benchmark, "ls")


@pytest.mark.parametrize("method", GRAMIAN_METHODS)
def test_of_the_representation_alone_forty_tasks_cost_little_more_than_a_plain_sum(method: str) -> None:
    benchmark = CelebA.small()
    plain = operations(benchmark, "ls")
    assert operations(benchmark, method, gramian="representation") < 1.1 * plain
    assert operations(benchmark, method) > 20 * plain  # so that the first line says something


@pytest.mark.parametrize("method", GRAMIAN_METHODS)
def test_weights_are_those_of_the_representations_gradients_and_the_step_is_the_parameters(method: str) -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(7, 6), nn.Tanh()).double()
    heads = nn.Linear(6, 3).double()
    inputs = torch.randn(5, 7, dtype=torch.float64)

    def forward() -> tuple[Tensor, Tensor]:
        z = encoder(inputs)
        return z, (heads(z) - 1).square().mean(0) * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    z, losses = forward()
    theta = [*encoder.parameters()]
    as_parameters = z.detach().requires_grad_()
    options = {"max_norm": 0.0} if "max_norm" in hyperparameters(method) else {}
    stored = build_weighting(method, 3, **options)
    others = (heads(as_parameters) - 1).square().mean(0) * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.manual_seed(1)
    expected = stored.weigh(others, shared_parameters=[as_parameters]).weights
    torch.manual_seed(1)
    weighting = build_weighting(method, 3, gramian="representation", **options)
    record = weighting.backward(losses, shared_parameters=theta, representation=[z])
    torch.testing.assert_close(record.weights, expected)
    found = [parameter.grad for parameter in theta]
    torch.testing.assert_close(found, list(torch.autograd.grad(forward()[1], theta, record.weights)))


def test_without_a_representation_there_is_one_line() -> None:
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(UserError, match='gramian="representation" needs `representation`.*found none'):
        build_weighting("mgda", 3, gramian="representation").backward(weight.square(), shared_parameters=[weight])


@pytest.mark.parametrize("method", METHODS)
def test_heads_get_the_same_gradients_whether_or_not_their_tasks_pass_gives_them(method: str) -> None:
    """A head of one task alone is read from that task's pass; one that two tasks read takes a pass of its own."""
    torch.manual_seed(0)
    encoder = nn.Linear(7, 6).double()
    heads = nn.ModuleList(nn.Linear(6, 1) for _ in range(3)).double()
    inputs = torch.randn(5, 7, dtype=torch.float64)
    gradients = []
    for both in (False, True):
        z = encoder(inputs).tanh()
        one, two, three = ((head(z) - 1).square().mean() for head in heads)
        tied = 0.0 * heads[0].weight.sum() if both else 0.0
        weighting = build_weighting(method, 3, **({"seed": 0} if "seed" in hyperparameters(method) else {}))
        weighting.backward(torch.stack([one, two + tied, three]), shared_parameters=encoder.parameters())
        gradients.append([parameter.grad for parameter in (*encoder.parameters(), *heads.parameters())])
        encoder.zero_grad()
        heads.zero_grad()
    torch.testing.assert_close(gradients[1], gradients[0])
