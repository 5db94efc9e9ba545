"""The sections of a study file that say how hyperparameters are searched, and for how long."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from go4align.errors import UserError
from study.spec.sections import Section


class Target(Section):
    """When a method's search has stopped paying: further trials are expected to bring less than is wanted.

    Attributes:
        min_gain: in units of the score, points of Delta m by default; see `study.search.gain.expected_gain`.
        over_trials: by so many further complete trials; those that the scheduler stopped early tell too little.
    """

    min_gain: float = Field(gt=0)
    over_trials: int = Field(default=10, ge=1)


class Budget(Section):
    """When the search ends: no new trial starts once a limit is reached; running ones finish.

    Attributes:
        trials: trials per method, the defaults among them.
        max_trials: trials in all; methods take turns, so each gets its share.
        epochs: epochs in all.
        hours: wall-clock hours of the study's sessions up to the end of its search.
        gpu_hours: GPU-hours of the search (GPUs per trial x hours).
        target: a method that has stopped paying gets no further trials.
    """

    trials: int = Field(ge=1)
    max_trials: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    target: Target | None = Field(default=None, exclude_if=lambda target: target is None)

    @model_validator(mode="after")
    def _can_end(self) -> Budget:
        if self.target is not None and self.target.over_trials >= self.trials:
            raise UserError(
                f"`budget.target.over_trials` must be below `budget.trials` = {self.trials}, found "
                f"{self.target.over_trials}: the gain of so many trials is judged by more than as many. Give at most "
                "half of the trials."
            )
        return self


class Search(Section):
    """How a method's trials are proposed. Its first trial is its defaults, whatever the sampler.

    Attributes:
        sampler: "tpe", Optuna's tree-structured Parzen estimator, multivariate; "gp", a Gaussian process (over a second
            a proposal); "cmaes", CMA-ES over the ranges, where there are two or more, and TPE for the rest; "random";
            "grid", every combination of `levels` values of each range and all choices, in a random order, then random
            ones.
        startup: how many trials of a method, the first among them, are not chosen by what earlier ones gave; default 5.
        start: whether those are a "sobol" sequence (default), which is spread evenly, or "random". docs/search.md has
            measured both.
        group: whether TPE looks for independent groups of hyperparameters.
        levels: of each range, of a grid.
    """

    sampler: Literal["tpe", "gp", "cmaes", "random", "grid"] = "tpe"
    startup: int = Field(default=5, ge=1)
    start: Literal["random", "sobol"] = "sobol"
    group: bool = False
    levels: int = Field(default=3, ge=1, le=100)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, found: Any) -> Any:
        """They wrote a `startup` of None, which stood for a third of the trials, and `start: random` beside it."""
        if isinstance(found, dict) and found.get("startup", 0) is None:
            gone = {"startup", "start"} if found.get("sampler") == "grid" else {"startup"}
            return {key: value for key, value in found.items() if key not in gone}
        return found

    @model_validator(mode="after")
    def _has_effect(self) -> Search:
        grid = self.sampler == "grid"
        idle = {
            "group": self.group and self.sampler != "tpe",
            "levels": self.levels != 3 and not grid,
            "startup": self.startup != 5 and grid,
            "start": self.start != "sobol" and grid,
        }
        if self.sampler == "random" and self.start == "random":
            idle["startup"] = self.startup != 5
        for key in (key for key, found in idle.items() if found):
            raise UserError(f"`search.{key}` has no effect with the sampler '{self.sampler}'. Remove it.")
        return self


class Scheduler(Section):
    """`asha` stops the weaker trials of a method early (never one method's for another's); `fifo` stops none.

    Attributes:
        name: "asha" or "fifo".
        grace_epochs: before which none is stopped; default a quarter of the trial's (docs/search.md has measured it).
        reduction_factor: of as many trials one goes on at each rung.
    """

    name: Literal["asha", "fifo"] = "asha"
    grace_epochs: int | None = Field(default=None, ge=1)
    reduction_factor: int = Field(default=3, ge=2)

    def grace_of(self, epochs: int) -> int:
        """Epochs before the first rung, of a trial of so many."""
        return max(1, epochs // 4) if self.grace_epochs is None else self.grace_epochs
