"""What earlier sittings with a run of a study left: which trials began, what they reported, how they ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from study.events import Event
from study.trial import Stage, TrialResult


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
        wall_s: seconds that the sittings lasted.
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


def history_of(events: Iterable[Event], wall_s: float) -> History:
    """What the events of one run of a study amount to."""
    history, methods = History(wall_s=wall_s), dict[str, str]()
    for event in events:
        trial, data = event.trial, event.data
        if event.kind == "start":
            history.results.pop(trial, None)
            if data:  # later starts of a trial hold nothing
                tags = data["tags"]
                history.stages[trial], methods[trial] = tags["stage"], tags["method"]
                history.configurations[trial] = tags["configuration"]
        elif event.kind == "log" and trial in methods:
            report = Report(trial, methods[trial], data["epoch"], data["best"], data["wall_s"])
            history.reports.append(report)
        elif event.kind == "finish" and data["status"] != "interrupted":
            history.results[trial] = _result(data)
    return history


def _result(data: Mapping[str, Any]) -> TrialResult:
    known = {field.name for field in fields(TrialResult)}
    values = {key: value for key, value in data.items() if key in known}
    return TrialResult(**values | {"warnings": tuple(data.get("warnings", ()))})
