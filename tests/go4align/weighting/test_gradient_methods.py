"""What every registered method that compares gradients keeps; a new one is tested without a change to this file."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jacobians import jacobian, take_step
from torch import Tensor, nn

from go4align import UserError, available_methods, build_weighting, hyperparameters

METHODS = [name for name in available_methods() if build_weighting(name, n_tasks=2).needs_gradients]
GRAMIAN_METHODS = [name for name in METHODS if "gramian" in hyperparameters(name)]
each_method = pytest.mark.parametrize("name", METHODS)
each_gramian_method = pytest.mark.parametrize("name", GRAMIAN_METHODS)


class MultiTask(nn.Module):
    """An encoder and one head per task; `forward` gives the representation and losses [M]."""

    def __init__(self, encoder: nn.Module, n_tasks: int, width: int, inputs: Tensor) -> None:
        super().__init__()
        self.encoder, self.inputs = encoder, inputs
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(n_tasks))

    def forward(self) -> tuple[Tensor, Tensor]:
        z = self.encoder(self.inputs)
        return z, torch.stack([scale * (head(z) - 1).square().mean() for scale, head in enumerate(self.heads, 1)])


class Recurrent(nn.Module):
    """The same linear layer three times, a gate, a parameter that is not used, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear, self.unused = nn.Conv1d(1, 3, 3), nn.Linear(12, 12), nn.Linear(2, 2)
        self.gate = nn.Parameter(torch.ones(12))

    def forward(self, inputs: Tensor) -> Tensor:
        state = self.convolution(inputs[:, None]).flatten(1)
        for _ in range(3):
            state = torch.tanh(self.linear(state)) * self.gate
        return state


def multi_layer(n_tasks: int, batch: int, **options: Any) -> MultiTask:
    layers = [nn.Linear(20, 12, **options), nn.ReLU(), nn.Linear(12, 12, **options), nn.Tanh()]
    return MultiTask(nn.Sequential(*layers), n_tasks, 12, torch.randn(batch, 20))


NETWORKS: dict[str, Callable[[int], MultiTask]] = {
    "few rows": lambda n: multi_layer(n, 3),
    "many rows": lambda n: multi_layer(n, 40),
    "no bias": lambda n: multi_layer(n, 3, bias=False),
    "recurrent": lambda n: MultiTask(Recurrent(), n, 12, torch.randn(5, 6)),
    "normalised": lambda n: MultiTask(
        nn.Sequential(nn.Linear(20, 12), nn.BatchNorm1d(12), nn.ReLU()), n, 12, torch.randn(5, 20)
    ),
}


def network_of(kind: str, n_tasks: int, dtype: torch.dtype) -> MultiTask:
    torch.manual_seed(1)
    network = NETWORKS[kind](n_tasks).to(dtype)
    network.inputs = network.inputs.to(dtype)
    return network


def jacobian_of(losses: Tensor, parameters: list[nn.Parameter]) -> list[list[Tensor]]:
    return [
        list(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True, allow_unused=True))
        for loss in losses
    ]


@each_method
@pytest.mark.parametrize("heads", ["default", "weighted", "sum"])
@pytest.mark.parametrize("n_tasks", [1, 2, 4])
def test_shared_parameters_and_heads_get_what_the_record_says(name: str, heads: str, n_tasks: int) -> None:
    network = network_of("few rows", n_tasks, torch.float64)
    shared = list(network.encoder.parameters())
    options = {} if heads == "default" else {"heads": heads}
    weighting = build_weighting(name, n_tasks, seed=0, **options) if "seed" in hyperparameters(name) else None
    weighting = weighting or build_weighting(name, n_tasks, **options)
    _, losses = network()
    rows = jacobian_of(losses, shared)
    record = weighting.backward(losses, shared_parameters=shared)
    if name in GRAMIAN_METHODS:
        for index, parameter in enumerate(shared):
            expected = sum(w * row[index] for w, row in zip(record.weights, rows, strict=True))
            torch.testing.assert_close(parameter.grad, expected)
    assert record.head_weights is not None
    if {"default": hyperparameters(name)["heads"]}.get(heads, heads) == "sum":
        assert (record.head_weights == 1).all()
    found = [[p.grad for p in head.parameters()] for head in network.heads]
    network.zero_grad()
    network()[1].backward(record.head_weights)
    torch.testing.assert_close(found, [[p.grad for p in head.parameters()] for head in network.heads])


@each_gramian_method
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_to_the_gramian_gives_the_same_step(name: str, kind: str, dtype: torch.dtype) -> None:
    found = []
    for options, told in (({}, False), ({"gramian": "layerwise"}, False), ({}, True), ({"gramian": "layerwise"}, True)):
        network = network_of(kind, 4, dtype)
        torch.manual_seed(0)
        weighting = build_weighting(name, 4, **options)
        z, losses = network()
        hint = [z] if told else None
        record = weighting.backward(losses, shared_parameters=network.encoder.parameters(), representation=hint)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
        found.append([record.weights, *grads])
    rtol = 1e-9 if dtype == torch.float64 else 2e-3
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=rtol, atol=rtol * 1e-1)


@each_method
def test_losses_need_not_be_stacked_scalars(name: str) -> None:
    rows = jacobian("plain", 3, 0, scaled=False)
    found = []
    for combine in (lambda x: x, lambda x: torch.stack(list(x.unbind())), lambda x: torch.cat([x[:1], x[1:]])):
        theta = nn.Parameter(torch.zeros(rows.shape[1], dtype=torch.float64))
        torch.manual_seed(0)
        record = build_weighting(name, 3).backward(combine(rows @ theta), shared_parameters=[theta])
        found.append((record.weights, theta.grad))
    torch.testing.assert_close(found[1:], [found[0]] * 2)


@each_method
def test_weigh_changes_no_gradient_and_backward_adds_to_it(name: str) -> None:
    rows = jacobian("conflict", 3, 0, scaled=False)
    one, other = (build_weighting(name, 3) for _ in range(2))
    theta = nn.Parameter(torch.zeros(rows.shape[1], dtype=torch.float64))
    torch.manual_seed(0)
    one.weigh(rows @ theta, shared_parameters=[theta])
    assert theta.grad is None and one.step == 1
    torch.manual_seed(0)
    _, expected = take_step(other, rows)
    theta.grad = torch.ones_like(theta)
    torch.manual_seed(0)
    build_weighting(name, 3).backward(rows @ theta, shared_parameters=[theta])
    torch.testing.assert_close(theta.grad, expected + 1)


@each_method
@pytest.mark.filterwarnings("ignore::go4align.errors.SolverWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "rows",
    [
        [[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]],
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]],
        [[1.0, 2.0], [-2.0, -4.0], [1.0, 0.0]],
        [[1e-18, 1e-18], [1e15, 0.0], [0.0, 1.0]],
    ],
    ids=["one zero", "all zero", "aligned", "opposed", "extreme"],
)
def test_zero_collinear_and_extreme_gradients_give_finite_steps(
    name: str, rows: list[list[float]], dtype: torch.dtype
) -> None:
    weighting = build_weighting(name, 3)
    for _ in range(3):
        record, grad = take_step(weighting, torch.tensor(rows, dtype=dtype))
        assert record.weights.isfinite().all() and grad.isfinite().all()
        assert record.weights.dtype == grad.dtype == dtype


@each_method
def test_losses_of_any_sign_will_do(name: str) -> None:
    theta = nn.Parameter(torch.zeros(4))
    losses = torch.eye(3, 4) @ theta + torch.tensor([-1.0, 0.0, 2.0])
    assert build_weighting(name, 3).backward(losses, shared_parameters=[theta]).weights.isfinite().all()


@each_method
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_bad_gradient_names_its_task_and_changes_nothing(name: str, bad: float) -> None:
    weighting = build_weighting(name, 2, task_names=["depth", "normal"])
    take_step(weighting, torch.eye(2))
    state = copy.deepcopy(weighting.state_dict())
    theta, head = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(()))
    theta.register_hook(lambda g: torch.where(g == 7, bad, g))
    losses = torch.stack([theta[0] * 3, theta[1] * 7]) + head
    with pytest.raises(UserError, match="gradient of 'normal' must be finite, found .* at step 2"):
        weighting.backward(losses, shared_parameters=[theta])
    torch.testing.assert_close(weighting.state_dict(), state, rtol=0, atol=0)
    assert theta.grad is None and head.grad is None


@each_method
def test_shared_parameters_must_be_given(name: str) -> None:
    with pytest.raises(UserError, match=r"`shared_parameters` must name at least one.*shared_parameters=\[\.\.\.\]"):
        build_weighting(name, 2).backward(torch.ones(2, requires_grad=True) * 1)


WAYS = [("grad_drop", {}), *((name, {"gramian": form}) for name in GRAMIAN_METHODS for form in ("stored", "layerwise"))]


@pytest.mark.parametrize(("name", "options"), WAYS, ids=str)
@pytest.mark.parametrize("frozen", [["0.weight", "0.bias"], ["2.weight"], ["0.bias"], ["2.weight", "0.weight"]])
@pytest.mark.parametrize("told", [False, True])
def test_frozen_parameters_are_passed_over(name: str, options: dict[str, Any], frozen: list[str], told: bool) -> None:
    """As an optimiser passes them over; so that fine-tuning may give `encoder.parameters()`."""
    torch.manual_seed(0)
    network = multi_layer(3, 3)
    for key, parameter in network.encoder.named_parameters():
        parameter.requires_grad_(key not in frozen)
    every = list(network.encoder.parameters())
    found = []
    for shared in (every, [p for p in every if p.requires_grad]):
        network.zero_grad()
        z, losses = network()
        weighting = build_weighting(name, 3, **options, **({"seed": 0} if "seed" in hyperparameters(name) else {}))
        record = weighting.backward(losses, shared_parameters=shared, representation=z if told else None)
        found.append((record.weights, [p.grad for p in network.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert [p.grad is None for p in every] == [not p.requires_grad for p in every]


@each_method
def test_an_encoder_that_is_frozen_whole_is_told(name: str) -> None:
    network = multi_layer(3, 3)
    network.encoder.requires_grad_(False)
    with pytest.raises(UserError, match=r"at least one parameter that all tasks share and that is not frozen"):
        build_weighting(name, 3).backward(network()[1], shared_parameters=network.encoder.parameters())


@each_gramian_method
def test_a_representation_that_is_passed_by_is_refused(name: str) -> None:
    network = network_of("few rows", 2, torch.float32)
    z, losses = network()
    bypass = losses + network.encoder[0].bias.sum()
    weighting = build_weighting(name, 2)
    with pytest.raises(UserError, match="through `representation` alone"):
        weighting.backward(bypass, shared_parameters=network.encoder.parameters(), representation=z)
    with pytest.raises(UserError, match="computed by the shared parameters, found a tensor without a graph"):
        weighting.backward(losses, shared_parameters=network.encoder.parameters(), representation=z.detach())


class _NotBatched(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * float(grad.abs().sum() > -1) * 2


def test_what_cannot_be_vectorised_is_told_with_the_remedy() -> None:
    theta = nn.Parameter(torch.ones(3))
    weighting = build_weighting("mgda", 3, gramian="layerwise")
    with pytest.raises(UserError, match=r'torch.func.vmap can vectorise, found: .*Use gramian="stored"'):
        weighting.backward(_NotBatched.apply(theta), shared_parameters=[theta])


@each_method
def test_a_resumed_run_with_conflicts_equals_an_uninterrupted_one(name: str) -> None:
    options = {"update_every": 4} if "update_every" in hyperparameters(name) else {}
    whole, first, second = (build_weighting(name, 3, **options) for _ in range(3))
    torch.manual_seed(0)
    steps = [jacobian("conflict", 3, seed) for seed in range(12)]
    expected = [take_step(whole, rows)[1] for rows in steps]
    torch.manual_seed(0)
    found = [take_step(first, rows)[1] for rows in steps[:6]]
    torch.manual_seed(9)
    second.load_state_dict(first.state_dict())
    found += [take_step(second, rows)[1] for rows in steps[6:]]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@each_method
@settings(max_examples=15)
@given(st.sampled_from(["plain", "conflict"]), st.integers(0, 1000), st.permutations(range(5)))
def test_the_order_of_tasks_does_not_matter(name: str, kind: str, seed: int, order: list[int]) -> None:
    one, other = build_weighting(name, 5), build_weighting(name, 5)
    if one.depends_on_order:
        return
    rows = jacobian(kind, 5, seed)
    torch.manual_seed(seed)
    record, grad = take_step(one, rows)
    torch.manual_seed(seed)
    permuted, same = take_step(other, rows[order])
    torch.testing.assert_close(permuted.weights, record.weights[order], rtol=1e-6, atol=0)
    torch.testing.assert_close(same, grad, rtol=1e-6, atol=1e-6 * float(grad.norm()))


@pytest.mark.parametrize("update_every", [1, 3])
def test_nash_mtl_between_updates_keeps_weights_and_clips_anew(update_every: int) -> None:
    weighting = build_weighting("nash_mtl", 3, update_every=update_every)
    for step in range(7):
        record, grad = take_step(weighting, jacobian("plain", 3, step))
        assert grad.norm().item() <= 1.0
        direction = record.weights / weighting.latest
        torch.testing.assert_close(direction, direction[:1].expand(3))
        if step % update_every == 0:
            latest = weighting.latest.clone()
        torch.testing.assert_close(weighting.latest, latest, rtol=0, atol=0)


def test_scales_are_parameters() -> None:
    rows = jacobian("conflict", 3, 2)
    steps = {
        (name, scale): take_step(build_weighting(name, 3, scale=scale), rows)[1]
        for name, scale in (("mgda", "tasks"), ("mgda", "none"), ("cagrad", "official"), ("cagrad", "none"))
    }
    torch.testing.assert_close(steps["mgda", "tasks"], 3 * steps["mgda", "none"])
    torch.testing.assert_close(steps["cagrad", "official"], 3 / 1.16 * steps["cagrad", "none"])
    _, clipped = take_step(build_weighting("cagrad", 3, max_norm=0.1), rows)
    assert clipped.norm().item() == pytest.approx(0.1, abs=1e-5)
