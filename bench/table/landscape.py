"""A table of trainings as what a search would have met: the nearest training's scores for every proposal."""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cells import Levels
from numpy.typing import NDArray

from study.spec.search_space import SearchSpace
from study.trials.records import Trial

Point = tuple[Any, ...]


class Landscape:
    """One method's part of a table.

    A proposal between the table's levels is answered by the nearest level of each hyperparameter (on a logarithmic
    scale), so a search cannot be better than the table's best, and regret is measured against that.

    Args:
        path: of the table.
        method: whose trainings.
        levels: of the trainings that count; the table may lack some.
    """

    def __init__(self, path: Path, method: str, levels: Levels) -> None:
        self.method = method
        self.levels = levels
        self.scores: dict[tuple[Point, int], NDArray[np.float64]] = {}
        frame = pd.read_parquet(path)
        self.known = set(frame["cell"])
        for row in frame[frame["method"] == method].to_dict("records"):
            values = json.loads(row["hyperparameters"])
            if all(values[name] in levels[name] for name in levels):
                point = tuple(values[name] for name in levels)
                self.scores[point, row["seed"]] = np.array(row["scores"], float)
        self.seeds = sorted({seed for _, seed in self.scores})

    @cached_property
    def true(self) -> dict[Point, float]:
        """The best score of each point's training, as the mean over its seeds; diverged ones are infinite."""
        found: dict[Point, list[float]] = {}
        for (point, _), scores in self.scores.items():
            found.setdefault(point, []).append(_best(scores))
        return {point: float(np.mean(values)) for point, values in found.items()}

    @property
    def best(self) -> float:
        """The lowest of them."""
        return min(self.true.values())

    @cached_property
    def seed_error(self) -> float:
        """The standard deviation of one training's score over seeds, of the better half of all points."""
        pairs = {}
        for (point, _), scores in self.scores.items():
            pairs.setdefault(point, []).append(_best(scores))
        good = sorted((values for values in pairs.values() if len(values) > 1), key=np.mean)
        variances = [np.var(values, ddof=1) for values in good[: max(1, len(good) // 2)] if np.isfinite(values).all()]
        return float(np.sqrt(np.mean(variances)))

    def nearest(self, trial: Trial) -> Point:
        """The point of the table that answers a proposal."""
        options = trial.configuration.method.settings
        values = {**options, "lr": trial.configuration.training.lr}
        return tuple(_nearest(values[name], self.levels[name]) for name in self.levels)

    def space(self, of: SearchSpace) -> SearchSpace:
        """A study's search space with the choices that the table has."""
        parameters = {}
        for key, parameter in of.methods[self.method].items():
            if parameter.type == "categorical":
                choices = [choice for choice in parameter.choices if choice in self.levels[key]]
                default = parameter.default if parameter.default in choices else choices[0]
                parameter = parameter.model_copy(update={"choices": choices, "default": default})
            parameters[key] = parameter
        return of.model_copy(update={"methods": {**of.methods, self.method: parameters}})


def _best(scores: NDArray[np.float64]) -> float:
    return float(scores.min()) if len(scores) and np.isfinite(scores).all() else math.inf


def _nearest(value: Any, levels: Sequence[Any]) -> Any:
    if value in levels:
        return value
    numbers = [level for level in levels if isinstance(level, (int, float))]
    return min(numbers, key=lambda level: abs(math.log(level / value)))
