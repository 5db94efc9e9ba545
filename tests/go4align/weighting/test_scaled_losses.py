"""Losses times a factor, as a GradScaler makes them: the figures of docs/methods.md, and the error."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from go4align import available_methods, build_weighting, hyperparameters
from go4align.testing import WEIGHTING_CHECKS

METHODS = available_methods()
FACTOR = 65536.0
"""A GradScaler's first scale."""
STEP_TOO_SMALL: list[tuple[str, dict[str, Any]]] = [
    ("si", {}),
    ("nash_mtl", {}),
    ("grad_drop", {}),
    ("cagrad", {"max_norm": 1.0}),
]
STEP_SCALES: list[tuple[str, dict[str, Any]]] = [
    ("grad_drop", {"max_norm": 0.0}),
    ("go4align", {"smooth": False}),
    ("go4align", {"indicator": "mgda"}),
    ("go4align", {"smooth": False, "clustering": "gradient_affinity"}),
]
"""Of methods that do not by default; those that do keep the contract."""
REFUSING = ["si", "dwa", "uw", "famo", "go4align", "grad_drop", "nash_mtl", "static"]


def losses_of(theta: Tensor) -> Tensor:
    rows = torch.tensor([[1.0, 2.0, 0.5], [-1.0, 1.5, 3.0], [0.5, 2.0, -4.0]], dtype=theta.dtype)
    return (rows @ theta).square() + 1


def steps(name: str, options: dict[str, Any], factor: float, count: int = 1) -> Tensor:
    """The last of some steps on losses times a factor, divided by it as `unscale_` does."""
    weighting = build_weighting(name, 3, **options)
    for _ in range(count):
        theta = nn.Parameter(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
        weighting.backward(losses_of(theta) * factor, shared_parameters=[theta])
        if weighting.needs_losses_after:
            weighting.after_step(losses_of(theta.detach()) * factor * torch.tensor([0.9, 0.8, 0.95]))
    assert theta.grad is not None
    return theta.grad / factor


@pytest.mark.parametrize(("name", "options"), STEP_TOO_SMALL, ids=str)
def test_steps_that_do_not_grow_with_the_losses_are_too_small_by_the_factor(name: str, options: dict[str, Any]) -> None:
    seeded = {"seed": 0, **options} if "seed" in hyperparameters(name) else options
    torch.testing.assert_close(steps(name, seeded, FACTOR) * FACTOR, steps(name, seeded, 1.0), rtol=1e-6, atol=0)
    assert not build_weighting(name, 3, **options).takes_scaled_losses


@pytest.mark.parametrize(("name", "options"), STEP_SCALES, ids=str)
def test_steps_that_grow_with_the_losses_survive_a_scaler(name: str, options: dict[str, Any]) -> None:
    assert build_weighting(name, 3, **options).takes_scaled_losses
    WEIGHTING_CHECKS["scaled_losses_are_taken_or_refused"](partial(build_weighting, name, **options))


def test_what_scaled_losses_do_to_the_other_methods() -> None:
    assert not torch.allclose(
        steps("go4align", {"clustering": "none"}, FACTOR, 5),
        steps("go4align", {"clustering": "none"}, 1.0, 5),
        rtol=0.5,
    )
    dwa = {count: [steps("dwa", {"window": 5}, factor, count) for factor in (FACTOR, 1.0)] for count in (7, 10)}
    assert not torch.allclose(*dwa[7], rtol=0.05)  # while its history of ones fills
    torch.testing.assert_close(*dwa[10], rtol=1e-9, atol=0)
    weightings = [build_weighting("uw", 3) for _ in range(2)]
    for weighting, factor in zip(weightings, (FACTOR, 1.0), strict=True):
        weighting.backward(losses_of(torch.ones(3, requires_grad=True)) * factor)
    scaled, plain = (next(weighting.parameters()).grad for weighting in weightings)
    assert scaled is not None and plain is not None and (scaled.abs() > 1e4 * plain.abs()).all()
    torch.testing.assert_close(steps("famo", {}, FACTOR, 5), steps("famo", {}, 1.0, 5), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_that_refuse_a_grad_scaler(name: str) -> None:
    assert build_weighting(name, 3).takes_scaled_losses == (name not in REFUSING)


@pytest.mark.parametrize("name", REFUSING)
def test_other_factors_and_a_scaler_that_is_off_are_no_scale(name: str) -> None:
    off = torch.amp.GradScaler(torch.get_default_device().type, enabled=False)
    on = torch.amp.GradScaler(torch.get_default_device().type)
    on.scale(torch.ones(()))
    weighting = build_weighting(name, 3)
    theta = nn.Parameter(torch.ones(3))
    for scale in (lambda x: x * FACTOR, lambda x: x * torch.tensor(0.5), off.scale, lambda x: x * torch.ones(3)):
        weighting.backward(scale(losses_of(theta)), shared_parameters=[theta])
    assert on.get_scale() == FACTOR and weighting.step == 4


def test_a_scaler_of_a_plain_sum_still_skips_what_overflows() -> None:
    scaler = torch.amp.GradScaler(torch.get_default_device().type)
    theta = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([theta], lr=1e-3)
    losses = (theta - 1) * 1e36 + 1  # the loss is fine when it is scaled, the gradient is not
    build_weighting("ls", 3).backward(scaler.scale(losses))
    scaler.step(optimizer)
    scaler.update()
    assert (theta == 1).all() and scaler.get_scale() == FACTOR / 2
