"""Delta m, its median and the mean rank, against values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from go4align import UserError
from go4align.metrics import delta_m, mean_ranks, median_change, ranks, relative_changes


def test_relative_changes_have_the_sign_of_harm() -> None:
    changes = relative_changes({"a": 1.1, "b": 0.9}, {"a": 1.0, "b": 1.0}, {"a": False, "b": True})
    assert changes == pytest.approx({"a": 10.0, "b": 10.0})


def test_delta_m_is_the_plain_mean_and_the_median_resists_one_task() -> None:
    changes = {"a": 1.0, "b": 2.0, "c": 300.0}
    assert delta_m(changes) == pytest.approx(101.0)
    assert median_change(changes) == 2.0


def test_published_stl_against_itself_is_zero() -> None:
    reference = {"mu": 0.0671, "alpha": 0.1814}
    changes = relative_changes(reference, reference, dict.fromkeys(reference, False))
    assert delta_m(changes) == 0.0


def test_a_missing_metric_is_named() -> None:
    with pytest.raises(UserError, match="reference must hold the metric 'b'"):
        relative_changes({"a": 1.0, "b": 1.0}, {"a": 1.0}, {"a": False, "b": False})


def test_a_zero_reference_is_refused() -> None:
    with pytest.raises(UserError, match="must not be zero"):
        relative_changes({"a": 1.0}, {"a": 0.0}, {"a": False})


def test_mean_ranks_share_ties_and_follow_direction() -> None:
    table = {"x": {"err": 1.0, "acc": 0.9}, "y": {"err": 2.0, "acc": 0.9}, "z": {"err": 3.0, "acc": 0.1}}
    assert mean_ranks(table, {"err": False, "acc": True}) == pytest.approx({"x": 1.25, "y": 1.75, "z": 3.0})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_ranks_add_up_and_are_mirrored_by_direction(column: list[float]) -> None:
    n = len(column)
    low, high = ranks(column), ranks(column, higher_is_better=True)
    assert sum(low) == pytest.approx(n * (n + 1) / 2)
    assert [a + b for a, b in zip(low, high, strict=True)] == pytest.approx([n + 1] * n)
