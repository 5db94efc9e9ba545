"""What further trials are expected to bring, and searches that end when that is too little."""

from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import finish, proposals

from study.search.gain import expected_gain


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.integers(1, 7))
def test_it_is_the_mean_over_all_orders(scores: list[float], trials: int) -> None:
    found = expected_gain(scores, trials)
    if trials >= len(scores):
        assert found is None
        return
    earlier = [min(part) for part in combinations(scores, len(scores) - trials)]
    assert found == pytest.approx(fmean(earlier) - min(scores), abs=1e-9)


def test_scores_that_are_not_finite_do_not_count() -> None:
    assert expected_gain([1.0, float("inf"), float("nan"), 3.0], 1) == pytest.approx(1.0)
    assert expected_gain([1.0, 2.0], 0) is None


def test_a_search_ends_per_method_when_it_has_stopped_paying(tmp_path: Path) -> None:
    target = {"min_gain": 0.5, "over_trials": 3}
    source = proposals(tmp_path, budget={"trials": 12, "target": target})
    asked: dict[str, int] = {"ls": 0, "go4align": 0}
    while (trial := source.next()) is not None:
        asked[trial.method] += 1
        finish(source, trial, score=7.0 if trial.method == "ls" else -10.0 * asked["go4align"])
    assert asked == {"ls": 4, "go4align": 12}
    assert source.expected_gain("ls", 3) == 0.0
