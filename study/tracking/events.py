"""What a study's journal is made of, and what its events say of one run of the study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from study.trials.history import History, Report
from study.trials.records import TrialResult

Kind = Literal["open", "start", "log", "network", "finish", "artifact", "close"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        seq: counts the journal's events from 1.
        time_ms: Unix time in milliseconds.
        study_run: which run of the study it belongs to (`study run --again` begins a new one).
        kind: what happened.
        trial: the trial's id; empty for events of the whole study.
        data: plain JSON values.
    """

    seq: int
    time_ms: int
    study_run: str
    kind: Kind
    trial: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class JournalledRun:
    """What the journal says of one run of the study.

    Attributes:
        id: its `study_run`.
        opened: its first "open" event, and `reopened` its last, of the session that went on with it last.
        starts: each trial's first "start" event.
        epochs: per trial, where in the journal each epoch's record is (byte offset).
        results: each trial's last "finish" data; a trial that was started again has none.
        wall_s: seconds that sessions of it lasted, up to the last event.
        search_status: how its search ended; "running" until then.
        last_seq: its last event.
    """

    id: str
    opened: Event | None = None
    reopened: Event | None = None
    starts: dict[str, Event] = field(default_factory=dict)
    epochs: dict[str, dict[int, int]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    wall_s: float = 0.0
    search_status: str = "running"
    last_seq: int = 0
    _last_ms: int = 0

    @property
    def store(self) -> str | None:
        """The tracking store it is kept in, without its password; None where a damaged journal does not say."""
        return self.reopened.data["store"] if self.reopened else None

    @property
    def unfinished(self) -> list[str]:
        """Trials that were started and have no result."""
        return [trial for trial in self.starts if trial not in self.results]

    @property
    def before(self) -> dict[str, float]:
        """`wall_s` and `trial_s` that were spent on it before this journal knew it, on another machine."""
        return self.opened.data["before"] if self.opened else {"wall_s": 0.0, "trial_s": 0.0}

    def note(self, event: Event, offset: int) -> None:
        """Take in the next event."""
        if event.kind == "open":
            self.opened = self.opened or event
            self.reopened = event
            self.search_status = event.data.get("search_status", self.search_status)
        else:  # the time between two sessions is not the study's
            self.wall_s += max(0, event.time_ms - self._last_ms) / 1000
        self._last_ms = event.time_ms
        self.last_seq = event.seq
        if event.kind == "start":
            self.starts.setdefault(event.trial, event)
            self.results.pop(event.trial, None)
        elif event.kind == "log":
            self.epochs.setdefault(event.trial, {}).setdefault(int(event.data["epoch"]), offset)
        elif event.kind == "finish":
            self.results[event.trial] = event.data
        elif event.kind == "close":
            self.search_status = event.data["search_status"]


def history_of(events: Iterable[Event], wall_s: float) -> History:
    """What the events of one run of a study amount to."""
    history = History(wall_s=wall_s)
    methods = dict[str, str]()
    for event in events:
        trial = event.trial
        data = event.data
        if event.kind == "start":
            history.results.pop(trial, None)
            if data:  # later starts of a trial hold nothing
                tags = data["tags"]
                history.stages[trial] = tags["stage"]
                methods[trial] = tags["method"]
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
