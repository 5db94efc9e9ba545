"""Weights beyond the range of the losses' dtype: what is written and recorded is right, or an error names the task."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from go4align import UserError, Weighting, available_methods, build_weighting, hyperparameters
from go4align.testing.networks import Rooted, Scaled
from go4align.weighting._engine.held import held
from go4align.weighting._engine.loss_checks import LossChecks

METHODS = available_methods()
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "go4align": [{"indicator": indicator} for indicator in ("mgda", "nash_mtl", "pcgrad")],
    "nash_mtl": [{"update_every": 2}],
}
WAYS = [(name, {}) for name in METHODS]
WAYS += [(name, {"gramian": "layerwise"}) for name in METHODS if "gramian" in hyperparameters(name)]
WAYS += [(name, options) for name, several in VARIANTS.items() for options in several]
each_way = pytest.mark.parametrize(("name", "options"), WAYS, ids=str)


def build(name: str, **options: Any) -> Weighting:
    torch.manual_seed(0)
    return build_weighting(name, 3, task_names=["depth", "normal", "semantic"], **options)


def state_of(weighting: Weighting) -> Any:
    return copy.deepcopy(weighting.state_dict())


def assert_unchanged(weighting: Weighting, state: Any) -> None:
    torch.testing.assert_close(weighting.state_dict(), state, rtol=0, atol=0, equal_nan=True)


@each_way
@pytest.mark.filterwarnings("ignore::go4align.errors.SolverWarning")
@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        (torch.float16, [1e-3, 1.0, 1e3]),
        (torch.float16, [1e-5, 1.0, 1.0]),
        (torch.bfloat16, [1e-30, 1.0, 1e3]),
        (torch.float32, [1e-40, 1.0, 1.0]),
        (torch.float32, [1e-18, 1.0, 1e18]),
    ],
    ids=str,
)
def test_the_step_is_that_of_the_same_losses_in_float64(
    name: str, options: dict[str, Any], dtype: torch.dtype, scales: list[float]
) -> None:
    if name in ("grad_drop", "go4align"):
        pytest.skip("noise is drawn in the losses' dtype, and what counts as a loss of zero depends on it")
    rows = torch.eye(3, 4).tolist()
    narrow, wide = Scaled(scales, dtype, rows), Scaled(scales, torch.float64, rows)
    wide.scales = narrow.scales.double()
    tiny = torch.finfo(dtype).tiny
    if name == "si" and bool((wide.scales < tiny).any()):
        pytest.skip("counts as a loss of zero")
    found, expected = (network.step(build(name, **options)) for network in (narrow, wide))
    rtol = 8 * torch.finfo(dtype).eps
    relevant = (expected.weights * wide.scales).abs() > rtol * (expected.weights * wide.scales).abs().max()
    torch.testing.assert_close(found.weights.double()[relevant], expected.weights[relevant], rtol=rtol, atol=0)
    for gradient, reference in zip(narrow.gradients(), wide.gradients(), strict=True):
        torch.testing.assert_close(gradient.double(), reference, rtol=rtol, atol=8 * tiny)


LOSS_ORIENTED = [name for name in METHODS if name != "stl" and not build_weighting(name, 3).needs_gradients]


@pytest.mark.cpu_only("a bad step is told at once only where the host has its values")
@pytest.mark.parametrize("name", LOSS_ORIENTED)
def test_a_gradient_that_is_not_finite_names_the_task_whose_head_has_it(name: str) -> None:
    network, weighting = Rooted(), build(name)
    state = state_of(weighting)
    with pytest.raises(UserError, match=r"finite in torch.float32, found one that is not at step 1, of .*'normal'"):
        weighting.backward(network.losses())
    assert_unchanged(weighting, state)
    assert all(p.grad is None for p in (network.shared, *network.heads, *weighting.parameters()))


@pytest.mark.parametrize("name", LOSS_ORIENTED)
def test_where_the_host_does_not_look_the_device_takes_a_step_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LossChecks, "checks_on_host", False)
    monkeypatch.setattr(Weighting, "checks_on_host", False)
    weighting = build(name, **({"clustering": "none"} if name == "go4align" else {}))
    losses = torch.rand(3, requires_grad=True)
    assert weighting.backward(losses).good
    before = {key: buffer.clone() for key, buffer in weighting.named_buffers()}
    assert not weighting.backward(Rooted().losses()).good
    after = dict(weighting.named_buffers())
    del before["first_bad"], after["first_bad"]
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    with pytest.raises(UserError, match="gradient of the weighted losses must be finite in .* at step 2, of"):
        weighting.end_epoch()
    weighting.end_epoch()


def test_where_the_host_does_not_look_recorded_weights_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LossChecks, "checks_on_host", False)
    weighting = build("uw")
    weighting.scalarizer.log_var.data.fill_(-20.0)  # type: ignore[operator, union-attr]
    record = weighting.backward(torch.ones(3, dtype=torch.float16, requires_grad=True))
    assert not record.good and record.weights.isfinite().all()


@pytest.mark.cpu_only("a bad step is told at once only where the host has its values")
def test_learned_weights_beyond_the_dtype_are_kept_or_refused() -> None:
    weighting = build("uw")
    with torch.no_grad():
        weighting.scalarizer.log_var.copy_(torch.tensor([-12.0, 0.0, 12.0]))  # type: ignore[union-attr]
    network = Scaled([1e-3, 1.0, 1.0], torch.float16, torch.eye(3, 4).tolist())
    record = network.step(weighting)
    assert record.weights.dtype == torch.float64
    expected = 0.5 * torch.tensor([12.0, 0.0, -12.0], dtype=torch.float64).exp()
    torch.testing.assert_close(record.weights, expected)
    torch.testing.assert_close(network.shared.grad, torch.cat([network.scales * expected, torch.zeros(1)]).half())
    with torch.no_grad():
        weighting.scalarizer.log_var[1] = -800.0  # type: ignore[index, union-attr]
    state = state_of(weighting)
    with pytest.raises(UserError, match=r"weight of 'normal' must be finite, found inf at step 2"):
        network.step(weighting)
    assert_unchanged(weighting, state)


@each_dtype
def test_sign_dropout_of_gradients_whose_sum_overflows(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max if dtype != torch.float64 else 1e150
    rows = largest * torch.tensor([[1.0, 0.5, 0.0], [1.0, -0.25, 0.0], [1.0, 0.5, 0.5]], dtype=torch.float64)
    theta = nn.Parameter(torch.zeros(3, dtype=dtype))
    record = build("grad_drop", seed=0).backward(rows.to(dtype) @ theta, shared_parameters=[theta])
    assert theta.grad is not None and theta.grad[0] > 0.5
    assert theta.grad.double().norm() == pytest.approx(1.0, rel=1e-2)
    assert record.weights.isfinite().all()


def test_a_dtype_holds_what_is_normal_in_it_or_nothing_beside_the_rest() -> None:
    def dtype_of(weights: list[float], sizes: list[float] | None) -> torch.dtype:
        return held(torch.tensor(weights, dtype=torch.float64), torch.float16, sizes).dtype

    assert dtype_of([1.0, 65504.0, -1e-4, 0.0], None) == torch.float16
    assert dtype_of([1.0, 65505.0], None) == torch.float64
    assert dtype_of([1.0, 1e-6], None) == torch.float64
    assert dtype_of([1.0, 1e-6], [1.0, 1.0]) == torch.float16
    assert dtype_of([1.0, 1e-6], [1.0, 1e6]) == torch.float64
