"""What every registered method keeps: a new one is tested here without a change to this file."""

import copy
import io
import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import psutil
import pytest
import torch
from devices import filled, here
from torch import Tensor

from go4align import UserError, Weighting, available_methods
from go4align.weighting.registry import build_indicator, build_weighting, torchjd_methods

OWN = (*available_methods(), "risk_guided")
METHODS = (*OWN, *torchjd_methods())
each_method = pytest.mark.parametrize("name", METHODS)
each_size = pytest.mark.parametrize(
    ("name", "n_tasks"),
    [(name, n_tasks) for name in METHODS for n_tasks in ((1, 2, 3, 11) if name in OWN else (4,))],
)
STATE = "a loss changes its state, which TorchJD keeps where nothing can put it back on the device"
NO_ZEROS = {"torchjd.geometric_mean": "the gradient of a geometric mean is infinite at a loss of zero, and is refused"}
ORDERED = {"torchjd.nash_mtl": "its solver stops early, and the order of tasks shows in the ninth digit"}
WAITING = {
    "torchjd.dwa": STATE,
    "torchjd.famo": STATE,
    "torchjd.geometric_mean": "TorchJD looks for negative losses",
}


def leave_out(name: str, excluded: Mapping[str, str]) -> None:
    if name in excluded:
        pytest.skip(f"{name}: {excluded[name]}")


def build(name: str, n_tasks: int, **options: Any) -> Weighting:
    try:
        return (build_indicator if name == "risk_guided" else build_weighting)(name, n_tasks, **options)
    except UserError as error:
        if "needs packages" in str(error):
            pytest.skip(str(error))
        raise


def losses_of(n_tasks: int, steps: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Positive losses that spread over two orders of magnitude and fall."""
    generator = torch.Generator().manual_seed(n_tasks)
    level = torch.exp(1.5 * torch.randn(n_tasks, generator=generator, dtype=torch.float64, device="cpu"))
    noise = torch.randn(steps, n_tasks, generator=generator, dtype=torch.float64, device="cpu")
    return [here(level * torch.exp(-0.05 * t + 0.2 * noise[t])).to(dtype) for t in range(steps)]


def take(weighting: Weighting, losses: list[Tensor], optimizer: torch.optim.Optimizer | None = None) -> list[Tensor]:
    """Train a little network of one shared parameter per task; return the weights of each step."""
    weights = []
    for step, values in enumerate(losses):
        shared = torch.nn.Parameter(torch.ones_like(values))
        if optimizer is not None:
            optimizer.zero_grad()
        record = weighting.backward(values * shared, shared_parameters=[shared])
        torch.testing.assert_close(shared.grad, record.weights * values)
        if optimizer is not None:
            optimizer.step()
        if weighting.needs_losses_after:
            weighting.after_step(values * 0.9)
        if step % 4 == 3:
            weighting.end_epoch()
        weights.append(record.weights)
    return weights


def optimizer_of(weighting: Weighting) -> torch.optim.Optimizer | None:
    groups = weighting.parameter_groups()
    return torch.optim.Adam(groups) if groups else None


def state_of(weighting: Weighting) -> Any:
    return copy.deepcopy(weighting.state_dict())


def assert_equal(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@each_size
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_records_shapes_and_dtypes(name: str, n_tasks: int, dtype: torch.dtype) -> None:
    weighting = build(name, n_tasks=n_tasks)
    for values in losses_of(n_tasks, 6, dtype):
        record = weighting.backward(values.requires_grad_(), shared_parameters=[values])
        assert record.weights.shape == (n_tasks,) and record.weights.dtype == dtype
        assert record.weights.isfinite().all() and not record.weights.requires_grad
        assert (record.labels is None) == (record.centres is None)
        if record.labels is not None and record.centres is not None:
            assert record.labels.dtype == torch.int64
            centres = filled(record.centres)
            assert record.labels.unique().tolist() == list(range(len(centres)))
            assert (centres.diff() >= 0).all()
            torch.testing.assert_close(record.centres[record.labels].to(dtype), record.weights)
        if weighting.needs_losses_after:
            weighting.after_step(values.detach())


@each_size
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resumed_run_equals_an_uninterrupted_one(name: str, n_tasks: int, dtype: torch.dtype) -> None:
    steps, half = (70, 36) if name in OWN else (16, 8)
    losses = losses_of(n_tasks, steps, dtype)
    whole, first, second = (build(name, n_tasks=n_tasks) for _ in range(3))
    torch.manual_seed(0)
    optimizer = optimizer_of(whole)
    expected = take(whole, losses, optimizer)
    torch.manual_seed(0)
    optimizer = optimizer_of(first)
    found = take(first, losses[:half], optimizer)
    file = io.BytesIO()
    torch.save([first.state_dict(), optimizer and optimizer.state_dict()], file)
    file.seek(0)
    state, optimizer_state = torch.load(file, weights_only=True)
    torch.manual_seed(99)
    second.load_state_dict(state)
    optimizer = optimizer_of(second)
    if optimizer is not None:
        optimizer.load_state_dict(optimizer_state)
    found += take(second, losses[half:], optimizer)
    assert_equal(found, expected)
    assert_equal(second.state_dict(), whole.state_dict())


@each_method
@pytest.mark.cpu_only("a bad loss is told at once only where the host has its value")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.5])
def test_a_bad_loss_names_task_and_step_and_changes_nothing(name: str, bad: float) -> None:
    weighting = build(name, n_tasks=3, task_names=["depth", "normal", "segmentation"])
    if bad == -0.5 and not weighting.needs_positive_losses:
        pytest.skip("takes negative losses")
    take(weighting, losses_of(3, 5))
    weighting.zero_grad()
    state = state_of(weighting)
    shared = torch.nn.Parameter(torch.tensor([1.0, bad, 1.0]))
    with pytest.raises(UserError, match=r"loss of 'normal' must be finite.*found .* at step 6\."):
        weighting.backward(shared * 1, shared_parameters=[shared])
    assert_equal(state_of(weighting), state)
    assert shared.grad is None
    assert all(parameter.grad is None for parameter in weighting.parameters())
    if weighting.needs_losses_after:
        with pytest.raises(UserError, match=r"loss of 'normal' must be finite.*at step 5\."):
            weighting.after_step(shared.detach())
        assert_equal(state_of(weighting), state)


@each_method
def test_wrong_shapes_and_detached_losses_say_what_was_required(name: str) -> None:
    weighting = build(name, n_tasks=3)
    state = state_of(weighting)
    for wrong in (torch.ones(2), torch.ones(3, 1), torch.ones(())):
        with pytest.raises(UserError, match=r"`losses` must have shape \(3,\).*found \("):
            weighting.backward(wrong.requires_grad_(), shared_parameters=[])
    for parts in ([torch.ones((), requires_grad=True)] * 3, [1.0, 2.0, 3.0], torch.ones(3, device="cpu").numpy(), None):
        for call in (weighting.backward, weighting.weigh):
            with pytest.raises(UserError, match=r"must have shape \(3,\).*found (list|ndarray|NoneType).*torch\.stack"):
                call(parts)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="attached to the graph"):
        weighting.backward(torch.ones(3), shared_parameters=[])
    assert_equal(state_of(weighting), state)


@each_method
@pytest.mark.parametrize("values", [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [1e-30, 1.0, 1e30]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_tied_and_extreme_losses_give_finite_weights(name: str, values: list[float], dtype: torch.dtype) -> None:
    if min(values) == 0.0:
        leave_out(name, NO_ZEROS)
    weighting = build(name, n_tasks=3)
    for _ in range(60 if name in OWN else 12):
        losses = torch.tensor(values, dtype=dtype, requires_grad=True)
        assert weighting.backward(losses, shared_parameters=[losses]).weights.isfinite().all()
        if weighting.needs_losses_after:
            weighting.after_step(losses.detach())


@each_method
def test_the_order_of_tasks_does_not_matter(name: str) -> None:
    if build(name, n_tasks=5).depends_on_order:
        pytest.skip("a draw belongs to a position, or it names a task")
    leave_out(name, ORDERED)
    order = torch.tensor([3, 0, 4, 1, 2])
    losses = losses_of(5, 40 if name in OWN else 8)
    one, other = build(name, n_tasks=5), build(name, n_tasks=5)
    found = take(other, [values[order] for values in losses], optimizer_of(other))
    for expected, weights in zip(take(one, losses, optimizer_of(one)), found, strict=True):
        torch.testing.assert_close(weights, expected[order], rtol=1e-9, atol=1e-12)


@each_method
def test_a_seed_determines_every_weight(name: str) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(take(build(name, n_tasks=4), losses_of(4, 8)))
    assert_equal(runs[0], runs[1])


@each_method
def test_state_stays_in_double_precision_when_the_model_is_converted(name: str) -> None:
    weighting = build(name, n_tasks=3)
    take(weighting, losses_of(3, 3))
    state = state_of(weighting)
    model = torch.nn.Sequential(weighting).half()
    assert_equal(weighting.state_dict(), state)
    assert all(p.dtype == torch.float64 for p in model.parameters())


@each_method
def test_no_loss_method_waits_for_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device tensors have no values: whatever looks at one, and would stop a GPU's host, raises.

    Torch's Adam has a list of the devices that may keep the count of steps; this one is put on it.
    """
    monkeypatch.setattr(import_module("torch.optim.adam"), "_get_capturable_supported_devices", lambda: ["meta"])
    weighting = build(name, n_tasks=5)
    if weighting.needs_gradients:
        pytest.skip("solves for its weights on the host")
    leave_out(name, WAITING)
    weighting.to("meta")
    losses = torch.ones(5, device="meta", requires_grad=True)
    record = weighting.backward(losses, shared_parameters=[])
    assert record.weights.shape == (5,)
    assert record.good is not None and record.good.device.type == "meta"
    if weighting.needs_losses_after:
        weighting.after_step(losses.detach())


@each_method
def test_state_does_not_grow(name: str) -> None:
    weighting = build(name, n_tasks=3)
    losses = losses_of(3, 8)

    def size() -> int:
        file = io.BytesIO()
        torch.save(weighting.state_dict(), file)
        return len(file.getvalue())

    take(weighting, losses)
    before = size()
    for _ in range(10 if name in OWN else 2):
        take(weighting, losses)
    assert size() == before


@each_method
def test_only_learnable_parameters_join_the_training_optimiser(name: str) -> None:
    weighting = build(name, n_tasks=3)
    grouped = [p for group in weighting.parameter_groups() for p in group["params"]]
    assert [id(p) for p in weighting.parameters()] == [id(p) for p in grouped]
    take(weighting, losses_of(3, 1))
    assert all(p.grad is not None for p in grouped)


@pytest.mark.cpu_only("counts the memory of the host")
@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_memory_does_not_grow_over_ten_thousand_steps(name: str) -> None:
    weighting = build(name, n_tasks=2)
    optimizer = optimizer_of(weighting)
    process = psutil.Process()

    def train(steps: int) -> int:
        for losses in losses_of(2, 4) * (steps // 4):
            shared = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
            weighting.backward(losses * shared, shared_parameters=[shared])
            if optimizer is not None:
                optimizer.step()
            if weighting.needs_losses_after:
                weighting.after_step(losses)
        weighting.end_epoch()
        return process.memory_info().rss

    before = train(2_000)
    assert train(10_000) - before < 2**20
