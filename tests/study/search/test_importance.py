"""Importance of hyperparameters, on scores that depend on them in a known way."""

import numpy as np
import pandas as pd

from study.search.importance import importances


def _trials(n: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "lr": 10.0 ** random.uniform(-4, -1, n),
            "n_groups": random.choice(np.array([2, 5, "auto"], dtype=object), n),
            "noise": random.uniform(0, 1, n),
        }
    )


def test_what_the_score_depends_on_comes_first_with_an_interval() -> None:
    trials = _trials(60)
    scores = 10 * (np.log10(trials["lr"]) + 2).abs() + (trials["n_groups"] == "auto")
    found = importances(trials, scores, {"lr"})
    assert found["parameter"].iloc[0] == "lr"
    assert found["importance"].iloc[0] > 0.7
    assert (found["low"] <= found["high"]).all() and found["importance"].sum() <= 1 + 1e-9


def test_the_same_trials_give_the_same_numbers() -> None:
    trials = _trials(20)
    scores = trials["noise"] * 2
    pd.testing.assert_frame_equal(importances(trials, scores, {"lr"}), importances(trials, scores, {"lr"}))


def test_few_trials_and_equal_scores_tell_nothing() -> None:
    assert importances(_trials(9), pd.Series(np.arange(9.0)), {"lr"}).empty
    assert importances(_trials(20), pd.Series(np.zeros(20)), {"lr"}).empty
