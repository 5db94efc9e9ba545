"""The kernel of the risk-guided indicator, on a CPU by Triton's interpreter."""

from typing import Any

import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from go4align.weighting.risk_guided import RiskGuided, _settings

fused = pytest.importorskip("go4align.weighting.fused_indicator", reason="Triton is made for Linux")
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
losses = st.lists(st.floats(0.0, 1e3) | st.sampled_from([0.0, 1e-30, 1e-3, 1e30]), min_size=1, max_size=9)


def stepped(indicator: RiskGuided, given: Tensor) -> tuple[Tensor, Tensor]:
    """Log q and log gamma after a step of the kernel."""
    chosen = _settings(indicator.beta, indicator._offset, given.dtype, given.device)
    return fused.fused_log_gamma(given, indicator.log_q, chosen, indicator.smooth, indicator.scale != "none")


@settings(max_examples=60)
@given(losses, st.sampled_from(DTYPES), st.sampled_from(["sum", "mean", "none"]), st.booleans(), st.data())
def test_takes_the_step_that_the_operations_take(
    values: list[float], dtype: torch.dtype, scale: Any, smooth: bool, data: st.DataObject
) -> None:
    indicator = RiskGuided(len(values), beta=data.draw(st.floats(0.0, 1.0)), scale=scale, smooth=smooth)
    earlier = data.draw(st.lists(st.floats(-700, 0), min_size=len(values), max_size=len(values)))
    indicator.log_q.copy_(torch.tensor(earlier, dtype=torch.float64).log_softmax(0))
    here(indicator)
    present = here(torch.tensor(values, dtype=dtype))
    log_q, log_gamma = stepped(indicator, present)
    expected = indicator.log_gamma(present.double(), dtype)
    torch.testing.assert_close(log_gamma, expected, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(log_q, indicator.log_q, rtol=1e-12, atol=1e-9)


@pytest.mark.usefixtures("kernels_tried")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("scale", ["sum", "mean", "none"])
def test_steps_where_the_host_does_not_look_are_the_kernels(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, smooth: bool, scale: Any
) -> None:
    monkeypatch.setattr(RiskGuided, "checks_on_host", False)
    taken = []
    original = fused.fused_log_gamma
    monkeypatch.setattr(fused, "fused_log_gamma", lambda *given: taken.append(given) or original(*given))
    indicator, reference = (RiskGuided(3, beta=0.1, scale=scale, smooth=smooth) for _ in range(2))
    for step in range(1, 4):
        present = here(torch.tensor([0.0, 2.0, 5.0 * step], dtype=dtype))
        gamma = indicator.weigh(present).weights
        expected = reference.log_gamma(present.double(), dtype).exp()
        torch.testing.assert_close(gamma.double(), expected.to(gamma.dtype).double())
    torch.testing.assert_close(indicator.log_q, reference.log_q)
    assert len(taken) == 1 + 3  # the sample, once


@pytest.mark.usefixtures("kernels_tried")
def test_operations_take_its_place_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RiskGuided, "checks_on_host", False)
    monkeypatch.setattr(fused, "fused_log_gamma", lambda losses, log_q, *rest: (log_q, log_q))
    indicator, reference = RiskGuided(3), RiskGuided(3)
    present = here(torch.tensor([1.0, 2.0, 5.0]))
    with pytest.warns(UserWarning, match="the risk-guided indicator cannot be used here"):
        found = indicator.weigh(present).weights
    torch.testing.assert_close(
        found.double(), reference.log_gamma(present.double(), present.dtype).exp(), rtol=1e-6, atol=0
    )
