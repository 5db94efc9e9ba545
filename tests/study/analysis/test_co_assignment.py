"""Which tasks share a group, on groups that are known."""

import numpy as np
import pandas as pd
import pytest

from study.analysis.co_assignment import (
    GROUP,
    agreement,
    best_against_rest,
    group_table,
    groups_from,
    mean_shares,
    n_groups,
    ordered,
    stability,
)

TASKS = ("a", "b", "c", "d")


def _shares(trial: str, groups: list[list[int]]) -> pd.DataFrame:
    """Of a trial that has these groups in its epochs."""
    rows = [
        {"trial": trial, "epoch": epoch, "task": task, "other": other, "share": float(mine == theirs)}
        for epoch, labels in enumerate(groups, 1)
        for task, mine in zip(TASKS, labels, strict=True)
        for other, theirs in zip(TASKS, labels, strict=True)
    ]
    return pd.DataFrame(rows)


def _epochs(trial: str, groups: list[list[int]]) -> pd.DataFrame:
    rows = [
        {"trial": trial, "epoch": epoch, "task": task, "quantity": GROUP, "value": float(label)}
        for epoch, labels in enumerate(groups, 1)
        for task, label in zip(TASKS, labels, strict=True)
    ]
    return pd.DataFrame(rows)


def test_a_long_trial_counts_no_more_than_a_short_one() -> None:
    together = pd.concat([_shares("x", [[0, 0, 1, 1]] * 9), _shares("y", [[0, 1, 0, 1]])])
    shares = mean_shares(together, TASKS)
    assert list(shares.index) == list(TASKS) == list(shares.columns)
    assert shares.loc["a", "b"] == shares.loc["a", "c"] == 0.5
    assert shares.loc["a", "d"] == 0.0 and shares.loc["a", "a"] == 1.0


def test_tasks_of_a_group_stand_side_by_side_and_the_cut_finds_the_groups() -> None:
    shares = mean_shares(_shares("x", [[0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 2]]), TASKS)
    tree = ordered(shares)
    order = list(tree.shares.index)
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("ac"), frozenset("bd")}
    assert tree.names == TASKS and tree.links.shape == (3, 4)
    assert groups_from(shares, 2) == {"a": 0, "b": 1, "c": 0, "d": 1}
    assert groups_from(shares, 1) == dict.fromkeys(TASKS, 0)
    assert len(set(groups_from(shares, 4).values())) == len(TASKS)


def test_groups_that_stay_are_steady_whatever_they_are_called() -> None:
    groups = group_table(_epochs("x", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]]))
    steady = stability(groups)
    assert steady.loc[("x", 2)] == 1.0
    assert steady.loc[("x", 3)] < 0.1
    assert list(n_groups(groups)) == [2, 2, 2]


def test_agreement_is_the_mean_over_pairs_of_trials() -> None:
    parts = [_epochs("x", [[0, 0, 1, 1]]), _epochs("y", [[1, 1, 0, 0]]), _epochs("z", [[0, 1, 0, 1]])]
    groups = group_table(pd.concat(parts))
    alone = agreement(groups.loc[["x"]])
    assert alone.empty
    assert agreement(groups.loc[["x", "y"]]).to_dict() == {1: 1.0}
    apart = agreement(groups.loc[["x", "z"]])[1]
    assert agreement(groups)[1] == pytest.approx((1.0 + 2 * apart) / 3)


def test_a_task_without_labels_is_in_no_group() -> None:
    groups = group_table(_epochs("x", [[0, 0, 1, -1]]))
    assert list(n_groups(groups)) == [2]


def test_the_best_tenth_is_compared_with_the_rest() -> None:
    good, bad = [[0, 0, 1, 1]], [[0, 1, 0, 1]]
    trials = {f"t{i}": good if i < 2 else bad for i in range(20)}
    together = pd.concat([_shares(trial, groups) for trial, groups in trials.items()])
    scores = pd.Series({trial: float(i) for i, trial in enumerate(trials)})
    found = best_against_rest(together, scores, TASKS)
    assert list(found.columns) == ["task", "other", "best", "rest", "difference"]
    by_pair = found.set_index(["task", "other"])
    assert by_pair.loc[("a", "b"), "difference"] == 1.0 and by_pair.loc[("a", "c"), "difference"] == -1.0
    assert np.all(np.diff(found["difference"].abs()) <= 0)
    assert best_against_rest(together, scores[:1], TASKS).empty
    assert best_against_rest(together, scores.iloc[:0], TASKS).empty
