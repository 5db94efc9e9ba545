"""The risk-guided indicator: its parts, its numbers, and its behaviour after very many steps."""

import json
import math
from pathlib import Path

import pytest
import torch

from go4align import RiskGuided, UserError
from go4align.arrays import to_array, to_tensor

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "go4align_m3.json").read_text())


@pytest.mark.parametrize("beta", GOLDEN["gamma"])
def test_equals_the_official_formula_at_double_precision(beta: str) -> None:
    indicator = RiskGuided(3, float(beta))
    for losses, gamma in zip(GOLDEN["losses"], GOLDEN["gamma"][beta], strict=False):
        found = indicator(torch.tensor(losses, dtype=torch.float64))
        torch.testing.assert_close(found, torch.tensor(gamma, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("scale", "weight"), [("sum", 1.0), ("mean", 0.25), ("none", 1.0)])
def test_equal_losses(scale: str, weight: float) -> None:
    gamma = RiskGuided(4, scale=scale)(torch.full((4,), 0.3))
    torch.testing.assert_close(gamma, torch.full((4,), weight, dtype=torch.float64), rtol=1e-14, atol=0)


def test_parts_can_be_switched_off() -> None:
    losses = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    scale_only = RiskGuided(3, 0.1, smooth=False)
    smooth_only = RiskGuided(3, 0.1, scale="none")
    for step in range(1, 4):
        torch.testing.assert_close(scale_only(losses), 8 / losses / 3)
        torch.testing.assert_close(smooth_only(losses), 3 * torch.softmax(-0.1 * step * losses, 0))


@pytest.mark.cpu_only("numpy computes on the host alone")
def test_log_q_neither_underflows_nor_drifts_over_a_million_steps() -> None:
    losses = torch.tensor([0.03, 0.95, 30.0], dtype=torch.float64)
    indicator = RiskGuided(3, 0.025)
    array = to_array(losses, True)
    steps = 1_000_000
    for _ in range(20_000):
        indicator.log_gamma(array)
    indicator.log_q += -0.025 * (steps - 20_000) * (losses - losses[0])  # what that many further steps add
    log_gamma = to_tensor(indicator.log_gamma(array))
    expected = -0.025 * (steps + 1) * (losses - losses[0]) + (losses.sum() / losses).log()
    torch.testing.assert_close(log_gamma, expected, rtol=1e-12, atol=1e-8)
    assert indicator.log_q.exp().sum().item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_zero_loss_takes_the_scale_of_the_smallest_other_one(dtype: torch.dtype) -> None:
    gamma = RiskGuided(3, 0.0)(torch.tensor([0.0, 0.5, 2.0], dtype=dtype))
    torch.testing.assert_close(gamma, torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64))
    assert RiskGuided(3)(torch.zeros(3, dtype=dtype)).tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gamma_is_finite_in_the_dtype_of_the_losses(dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    gamma = RiskGuided(3, 0.0)(torch.tensor([limits.tiny, 1.0, limits.max / 8], dtype=dtype))
    assert gamma.to(dtype).isfinite().all()


def test_tiny_but_normal_losses_are_exact() -> None:
    gamma = RiskGuided(2, 0.0)(torch.tensor([1e-30, 1.0]))
    assert gamma[0].item() == pytest.approx(0.5e30, rel=1e-6)


@pytest.mark.parametrize("beta", [-1e-4, math.nan, math.inf, "1e-4", True, None])
def test_beta_must_be_a_number_of_at_least_zero(beta: object) -> None:
    with pytest.raises(UserError, match="`beta` must be a finite number of at least 0"):
        RiskGuided(3, beta)  # type: ignore[arg-type]


def test_an_unknown_scale_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'mean'"):
        RiskGuided(3, scale="maen")
