"""A bad batch leaves no trace where the host does not look at the losses; the device's way, run on the CPU."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from devices import ON_GPU, errors_where_the_host_waits, here
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from go4align import UserError, Weighting, available_methods, build_weighting
from go4align.training.skip import SkippableStep
from go4align.weighting import available_indicators

TASKS = 3
LOSS_METHODS = [name for name in available_methods() if not build_weighting(name, TASKS).needs_gradients]
LOSS_INDICATORS = [
    name
    for name in available_indicators()
    if not build_weighting("go4align", TASKS, indicator=name).needs_gradients and name != "risk_guided"
]
WEIGHTINGS = [
    *((name, {}) for name in LOSS_METHODS),
    *(("go4align", {"indicator": name, "n_groups": 2}) for name in LOSS_INDICATORS),
    ("go4align", {"space": "log"}),
    ("go4align", {"clustering": "kmeans_pytorch"}),
    ("dwa", {"window": None}),
]
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    # Without `capturable`, a GPU's Adam counts its steps on the host.
    "adam": lambda groups: Adam(groups, lr=1e-2, weight_decay=1e-3, amsgrad=True, capturable=ON_GPU),
    "fused adam": lambda groups: Adam(groups, lr=1e-2, fused=True),
    "sgd": lambda groups: SGD(groups, lr=1e-2),
    "sgd, momentum": lambda groups: SGD(groups, lr=1e-2, momentum=0.9, dampening=0.1),
    "sgd, momentum, fused": lambda groups: SGD(groups, lr=1e-2, momentum=0.9, fused=True),
}


class Run:
    """A small network with BatchNorm whose batch holds, per task, a factor of its loss."""

    def __init__(self, method: str, options: dict[str, Any], optimizer: str) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, TASKS))
        self.weighting = build_weighting(method, TASKS, **options)
        groups = [{"params": list(self.model.parameters())}, *self.weighting.parameter_groups()]
        self.optimizer = OPTIMIZERS[optimizer](groups)

    def losses(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, factors = batch
        return (self.model(inputs).square().mean(0) + 0.1) * factors

    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor | None:
        """As `train_step`."""
        self.optimizer.zero_grad()
        step = SkippableStep(self.model, self.optimizer, self.weighting)
        record = self.weighting.backward(self.losses(batch))
        step.take(record.good)
        if self.weighting.needs_losses_after:
            with torch.no_grad():
                self.weighting.after_step(self.losses(batch))
        step.end()
        return record.good

    def state(self) -> dict[str, Any]:
        """All but what the host drew, and the note of the bad loss."""
        weighting = {
            key: value
            for key, value in self.weighting.state_dict().items()
            if not key.endswith(("_extra_state", "first_bad"))
        }
        return copy.deepcopy(
            {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "weighting": weighting}
        )


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 16, 4, generator=generator, device="cpu")
    return [(here(batch), torch.tensor([1.0, 5.0, 0.2])) for batch in inputs]


def spoilt(bad: float) -> tuple[Tensor, Tensor]:
    inputs, factors = batches(1)[0]
    return inputs + 7.0, factors * torch.tensor([1.0, bad, 1.0])


def draws_of(weighting: Weighting) -> list[Any]:
    return [module.draws for module in weighting.modules() if hasattr(module, "draws")]


def assert_equal(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Weighting, "checks_on_host", False)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("method", "options"), WEIGHTINGS, ids=str)
def test_a_bad_batch_leaves_no_trace(method: str, options: dict[str, Any], optimizer: str) -> None:
    run, other = Run(method, options, optimizer), Run(method, options, optimizer)
    third = -1.0 if run.weighting.needs_positive_losses else -math.inf
    bad = {0: math.nan, 1: math.inf, 4: third}  # before there is any state, after the first step, and in between
    for number, batch in enumerate(batches(6)):
        if number in bad:
            before = run.state()
            good = run.step(spoilt(bad[number]))
            assert good is not None and not good
            assert_equal(run.state(), before)
            for own, same in zip(draws_of(run.weighting), draws_of(other.weighting), strict=True):
                same.load(own.state())  # what the host drew is used up
        assert run.step(batch)
        other.step(batch)
        assert_equal(run.state(), other.state())
        assert all(p.isfinite().all() for p in run.model.parameters())
    with pytest.raises(UserError, match=r"loss of 'task 1' must be finite.* at step 1\."):
        run.weighting.end_epoch()
    other.weighting.end_epoch()
    assert_equal(run.state(), other.state())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", LOSS_METHODS)
def test_after_the_first_step_the_host_asks_nothing(
    method: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(method, {}, optimizer)
    first, second = batches(2)
    run.step(first)

    def asked(tensor: Tensor) -> bool:
        raise AssertionError("the host looked at a value")

    for question in ("__bool__", "__int__", "tolist"):
        monkeypatch.setattr(Tensor, question, asked)
    bad = spoilt(math.nan)
    with errors_where_the_host_waits():
        run.step(second)
        run.step(bad)


class Counted(SGD):
    """Keeps a count of its steps elsewhere than its parameters, as Adam on a GPU does: here where nothing is stored."""

    def step(self, closure: Any = None) -> None:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].setdefault("count", torch.zeros((), device="meta"))


def test_an_optimiser_with_state_elsewhere_makes_no_step_on_a_bad_batch() -> None:
    run = Run("uw", {}, "sgd")
    run.optimizer = Counted(run.optimizer.param_groups, lr=1e-2)
    first, second = batches(2)
    assert run.step(first)
    before = copy.deepcopy(run.model.state_dict())
    assert not run.step(spoilt(math.nan))
    assert_equal(run.model.state_dict(), before)
    assert run.step(second)
    assert not torch.equal(run.model.state_dict()["0.weight"], before["0.weight"])


@pytest.mark.parametrize("method", [name for name in LOSS_METHODS if build_weighting(name, TASKS).needs_losses_after])
def test_a_bad_loss_after_the_step_leaves_the_weighting_as_it_was(method: str) -> None:
    run = Run(method, {}, "adam")
    run.step(batches(1)[0])
    run.weighting.backward(run.losses(batches(1)[0]))
    before = run.state()
    run.weighting.after_step(torch.tensor([1.0, math.nan, 1.0]))
    assert_equal(run.state(), before)
    with pytest.raises(UserError, match=r"loss of 'task 1' must be finite.* at step 2\."):
        run.weighting.end_epoch()


@pytest.mark.parametrize("method", LOSS_METHODS)
def test_the_first_bad_loss_is_told_once(method: str) -> None:
    weighting = build_weighting(method, TASKS)
    for factors in ([1.0, 1.0, 1.0], [1.0, math.nan, 1.0], [math.inf, 1.0, 1.0]):
        losses = torch.tensor(factors, requires_grad=True)
        record = weighting.backward(losses)
        assert record.weights.isfinite().all()
    with pytest.raises(UserError, match=r"loss of 'task 1' must be finite.* at step 2\."):
        weighting.end_epoch()
    weighting.end_epoch()


def test_gradient_methods_check_on_the_host_wherever_they_are() -> None:
    weighting = build_weighting("mgda", TASKS)
    losses = torch.tensor([1.0, math.nan, 1.0], requires_grad=True)
    with pytest.raises(UserError, match=r"loss of 'task 1' must be finite, found nan at step 1\."):
        weighting.backward(losses, shared_parameters=[losses])
    assert losses.grad is None
