"""Intervals and tests against what they promise: coverage, exact counts, and no verdict from too few seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.intervals import MIN_SEEDS, compare, holm, mean_interval, sign_flip_p

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


@pytest.mark.parametrize(("n", "least", "most"), [(3, 0.7, 0.82), (5, 0.9, 0.95), (10, 0.92, 0.97)])
def test_how_often_an_interval_holds_the_true_mean(n: int, least: float, most: float) -> None:
    drawn = np.random.default_rng(0).normal(3.0, 2.0, (400, n))
    held = [(found := mean_interval(row.tolist())).low <= 3.0 <= found.high for row in drawn]
    assert least <= np.mean(held) <= most


@given(VALUES, st.floats(-100, 100), st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_its_values(values: list[float], shift: float, scale: float) -> None:
    found = mean_interval(values)
    moved = mean_interval([scale * value + shift for value in values])
    tolerance = {"rel": 1e-9, "abs": 1e-6}
    assert moved.low == pytest.approx(scale * found.low + shift, **tolerance)
    assert moved.high == pytest.approx(scale * found.high + shift, **tolerance)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_one_value_has_no_interval_and_decides_nothing() -> None:
    found = mean_interval([2.0])
    assert found.mean == 2.0 and math.isnan(found.low) and found.includes_zero
    assert math.isnan(mean_interval([]).mean)


def test_three_values_reach_to_their_ends() -> None:
    found = mean_interval([1.0, 2.0, 6.0])
    assert (found.low, found.high) == (1.0, 6.0)


@given(st.lists(st.floats(-10, 10).filter(bool), min_size=2, max_size=10))
def test_the_sign_flip_p_is_scipys_exact_permutation_test(differences: list[float]) -> None:
    expected = stats.permutation_test(
        (np.array(differences),), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    ).pvalue
    least = 2 / 2 ** len(differences)
    assert least <= sign_flip_p(differences) <= 1.0
    assert sign_flip_p(differences) == pytest.approx(min(1.0, expected), abs=1e-12)


def test_many_differences_are_sampled_the_same_way_every_time() -> None:
    differences = np.random.default_rng(1).normal(0.6, 1.0, 20).tolist()
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_corrects_as_written_in_his_paper(p_values: list[float]) -> None:
    """p_(k) is compared with alpha / (m - k + 1), and where one is not rejected none of the larger is."""
    alpha, m = 0.05, len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    rejected, going = set(), True
    for k, i in enumerate(order):
        going = going and (m - k) * p_values[i] <= alpha
        rejected |= {i} if going else set()
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


def _arm(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values, 101))


def test_arms_are_paired_by_the_seeds_that_both_have() -> None:
    found = compare({1: 1.0, 2: 2.0, 3: 9.0}, {2: 4.0, 1: 2.0, 4: 0.0})
    assert found.difference.n == 2 and found.difference.mean == -1.5
    assert found.probability == 1.0 and found.outcome() == "too few seeds"


def test_equal_runs_are_identical_and_not_a_tie() -> None:
    assert compare(_arm([1.0] * 6), _arm([1.0] * 6)).outcome() == "identical"
    tied = compare(_arm([1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), _arm([2.0, 1.0, 2.0, 1.0, 2.0, 1.0]))
    assert tied.outcome() == "undecided" and tied.probability == 0.5


def test_a_difference_is_decided_from_five_seeds_on_and_only_if_its_corrected_p_allows() -> None:
    better = [1.0, 1.1, 0.9, 1.0, 1.2, 1.1]
    worse = [2.0, 2.2, 1.9, 2.1, 2.0, 2.3]
    assert compare(_arm(better[: MIN_SEEDS - 1]), _arm(worse)).outcome() == "too few seeds"
    found = compare(_arm(better), _arm(worse))
    assert found.outcome() == "better" and compare(_arm(worse), _arm(better)).outcome() == "worse"
    assert found.p == 2 / 2**6
    assert found.outcome(p=3 * found.p) == "undecided"
