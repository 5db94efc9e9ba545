"""What earlier sessions with a run of a study left: which trials began, what they reported, how they ended."""

from dataclasses import dataclass, field
from typing import NamedTuple

from study.trials.records import Stage, TrialResult


class Report(NamedTuple):
    """An epoch that a trial reported; `score` is its best so far."""

    trial: str
    method: str
    epoch: int
    score: float
    wall_s: float


@dataclass
class History:
    """Empty at the beginning of a study.

    Attributes:
        stages, configurations: of every trial that began, by its id; configurations as JSON.
        reports: in the order they came.
        results: of every trial that ended and was not merely interrupted, by its id.
        wall_s: seconds that the sessions lasted.
    """

    stages: dict[str, Stage] = field(default_factory=dict)
    configurations: dict[str, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    results: dict[str, TrialResult] = field(default_factory=dict)
    wall_s: float = 0.0

    def of(self, stage: Stage) -> "History":
        """The part of one stage. Only complete reference and final runs count as ended: others are run again."""
        trials = {trial for trial, found in self.stages.items() if found == stage}
        ended = {
            trial: result
            for trial, result in self.results.items()
            if trial in trials and (stage == "search" or result.status == "finished")
        }
        return History(
            dict.fromkeys(trials, stage),
            {trial: self.configurations[trial] for trial in trials},
            [report for report in self.reports if report.trial in trials],
            ended,
            self.wall_s,
        )
