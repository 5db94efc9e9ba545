"""What a study's journal is made of, and what its events say of one run of the study."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["open", "start", "log", "finish", "artifact", "close"]


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
class StudyRun:
    """What the journal says of one run of the study.

    Attributes:
        id: its `study_run`.
        opened: its first "open" event.
        starts: each trial's first "start" event.
        epochs: per trial, where in the journal each epoch's record is (byte offset).
        results: each trial's last "finish" data; a trial that was started again has none.
        wall_s: seconds that sessions of it lasted, up to the last event.
        stores: the tracking stores it was opened for, without passwords; journals of old versions do not say.
        search_status: how its search ended; "running" until then.
        last_seq: its last event.
    """

    id: str
    opened: Event | None = None
    starts: dict[str, Event] = field(default_factory=dict)
    epochs: dict[str, dict[int, int]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    wall_s: float = 0.0
    stores: set[str] = field(default_factory=set)
    search_status: str = "running"
    last_seq: int = 0
    _last_ms: int = 0

    @property
    def unfinished(self) -> list[str]:
        """Trials that were started and have no result."""
        return [trial for trial in self.starts if trial not in self.results]

    @property
    def has_results(self) -> bool:
        """Whether a search trial is complete."""
        return any(
            result.get("status") == "finished" and self.starts[trial].data.get("tags", {}).get("stage") == "search"
            for trial, result in self.results.items()
            if trial in self.starts
        )

    @property
    def before(self) -> dict[str, float]:
        """`wall_s` and `trial_s` that were spent on it before this journal knew it, on another machine."""
        return {"wall_s": 0.0, "trial_s": 0.0} | (self.opened.data.get("before", {}) if self.opened else {})

    def note(self, event: Event, offset: int) -> None:
        """Take in the next event."""
        if event.kind == "open":
            self.opened = self.opened or event
            self.stores |= {event.data["store"]} if "store" in event.data else set()
        else:  # the time between two sessions is not the study's
            self.wall_s += max(0, event.time_ms - self._last_ms) / 1000
        self._last_ms, self.last_seq = event.time_ms, event.seq
        if event.kind == "start":
            self.starts.setdefault(event.trial, event)
            self.results.pop(event.trial, None)
        elif event.kind == "log":
            self.epochs.setdefault(event.trial, {}).setdefault(int(event.data["epoch"]), offset)
        elif event.kind == "finish":
            self.results[event.trial] = event.data
        elif event.kind == "close":
            self.search_status = event.data.get("search_status") or event.data.get("status", self.search_status)
