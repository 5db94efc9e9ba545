"""Convergence on curves with a known answer."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.convergence import convergence_difference, convergence_epochs

EPOCHS = pd.RangeIndex(1, 11, name="epoch")


def _curves(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=EPOCHS)


def test_the_epoch_is_the_first_within_a_twentieth_of_the_gain() -> None:
    falls_to_zero = [100.0, 50.0, 20.0, 6.0, 5.0, 4.0, 1.0, 0.0, 0.0, 0.0]
    at_once = [10.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    never_better = [1.0, 2.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    found = convergence_epochs(_curves(slow=falls_to_zero, quick=at_once, first=never_better))
    assert found.to_dict() == {"slow": 5.0, "quick": 2.0, "first": 1.0}
    assert convergence_difference(_curves(slow=falls_to_zero, quick=at_once)) == 1.5


def test_an_exponential_converges_where_it_has_made_all_but_a_twentieth() -> None:
    """v = exp(-e / tau): 1 - (1 - v / v_1) within 5 % of a long curve's gain after tau * ln 20 epochs."""
    epochs = pd.RangeIndex(0, 400, name="epoch")
    taus = {"a": 10.0, "b": 40.0}
    curves = pd.DataFrame({name: np.exp(-epochs.to_numpy() / tau) for name, tau in taus.items()}, index=epochs)
    found = convergence_epochs(curves)
    for name, tau in taus.items():
        assert found[name] == math.ceil(tau * math.log(20))
    assert convergence_difference(curves) == pytest.approx((120 - 30) / 2)


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_it_does_not_depend_on_units(scale: float, shift: float) -> None:
    values = np.array([8.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.0])
    known = convergence_epochs(_curves(a=values.tolist()))["a"]
    assert convergence_epochs(_curves(a=(scale * values + shift * scale).tolist()))["a"] == known


def test_tasks_without_values_are_left_out() -> None:
    curves = _curves(a=[float("nan")] * 10, b=[2.0] + [1.0] * 9)
    assert math.isnan(convergence_epochs(curves)["a"])
    assert math.isnan(convergence_difference(curves))
    curves["c"] = [math.inf, 2.0] + [1.0] * 8
    assert convergence_epochs(curves)["c"] == 3.0
