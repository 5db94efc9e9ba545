"""Which hyperparameters a search's scores depend on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

_FEWEST = 10
"""Trials below which a forest tells more of itself than of them."""
_REPEATS = 10
_TREES = 32


def importances(parameters: pd.DataFrame, scores: pd.Series[float], logarithmic: Collection[str]) -> pd.DataFrame:
    """The share of the scores' variance that each hyperparameter explains by itself: fANOVA (Hutter et al. 2014), and
    how far it moves when trials are drawn again.

    Args:
        parameters: a column per hyperparameter, a row per complete trial.
        scores: of these trials.
        logarithmic: which hyperparameters are searched on a log scale.

    Returns:
        Columns `parameter`, `importance` (0 to 1), `low` and `high` (central 90 % over ten bootstrap samples of the
        trials), the most important first; empty with fewer than ten trials or where all scores are equal.
    """
    columns = ["parameter", "importance", "low", "high"]
    if len(scores) < _FEWEST or np.ptp(scores) == 0:
        return pd.DataFrame(columns=columns)
    whole = _fanova(parameters, scores, logarithmic)
    random = np.random.default_rng(0)
    samples = []
    for _ in range(_REPEATS):
        drawn = random.integers(len(scores), size=len(scores))
        if np.ptp(scores.iloc[drawn]) > 0:
            samples.append(_fanova(parameters.iloc[drawn], scores.iloc[drawn], logarithmic))
    spread = pd.DataFrame(samples).reindex(columns=list(whole)).fillna(0.0)
    rows = [
        {"parameter": key, "importance": value, "low": spread[key].quantile(0.05), "high": spread[key].quantile(0.95)}
        for key, value in whole.items()
    ]
    return pd.DataFrame(rows, columns=columns).sort_values("importance", ascending=False, ignore_index=True)


def _fanova(parameters: pd.DataFrame, scores: pd.Series[float], logarithmic: Collection[str]) -> dict[str, float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searched = {key: _distribution(parameters[key], log=key in logarithmic) for key in map(str, parameters)}
    study = optuna.create_study()
    for (_, row), score in zip(parameters.iterrows(), scores, strict=True):
        values = {key: _value(row[key], searched[key]) for key in searched}
        study.add_trial(optuna.trial.create_trial(value=float(score), params=values, distributions=searched))
    found = get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(n_trees=_TREES, seed=0), params=list(searched)
    )
    return {key: float(found.get(key, 0.0)) for key in searched}


def _distribution(values: pd.Series[Any], *, log: bool) -> BaseDistribution:
    """As wide as what was tried: importance within what the trials can tell."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        low, high = float(values.min()), float(values.max())
        return FloatDistribution(low, high if high > low else low * 1.001 + 1e-12, log=log)
    return CategoricalDistribution(sorted(values.map(str).unique()))


def _value(value: Any, distribution: BaseDistribution) -> Any:
    return float(value) if isinstance(distribution, FloatDistribution) else str(value)
