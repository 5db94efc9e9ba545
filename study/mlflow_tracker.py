"""The tracker of real studies: the local journal at once, MLflow from a thread that may come late but loses nothing."""

import sys
import uuid
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from go4align.training import EpochRecord
from study.background import Background, Notify
from study.config import StudyFile
from study.events import Kind, StudyRun
from study.home import study_folder, tracking_uri
from study.journal import Journal, JournalError, Taken
from study.mlflow_client import connect
from study.mlflow_queries import newest_run
from study.mlflow_writer import MlflowWriter
from study.schema import record_data, study_data, trial_data
from study.tracking import StudyStatus
from study.trial import Trial, TrialResult

_P = ParamSpec("_P")


def to_stderr(text: str) -> None:
    """Where notices go that nobody else takes."""
    sys.stderr.write(text + "\n")


def _never_raises(
    method: "Callable[Concatenate[MlflowTracker, _P], None]",
) -> "Callable[Concatenate[MlflowTracker, _P], None]":
    """What goes wrong in tracking is told, once for each cause; it never stops a study."""

    @wraps(method)
    def guarded(self: "MlflowTracker", /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.say_once(f"Tracking failed ({method.__name__}): {type(error).__name__}: {error}")

    return guarded


class MlflowTracker:
    """A `Tracker` that writes a journal in the study's folder and, in the background, MLflow.

    Args:
        uri: the tracking store, see `study.home.tracking_uri`; where None, the study file's.
        notify: told in one line when MLflow goes down, is back, or refuses something; may be called from a thread.
    """

    def __init__(self, uri: str | None = None, *, notify: Notify = to_stderr) -> None:
        self.uri, self._notify = uri, notify
        self._said: set[str] = set()
        self._session: _Session | None = None

    def open(self, study: StudyFile, *, space_hash: str = "", source: str | None = None, resume: bool = False) -> None:
        self.uri, folder = tracking_uri(self.uri or study.tracking_uri), study_folder(study.name)
        data = study_data(study, space_hash=space_hash, source=source)
        journal, taken = Journal(folder), Taken(folder, self.uri)
        pending = taken.missing(journal.seq)
        study_run, data["before"] = _choose(journal, study.name, self.uri, resume=resume, synced=not pending)
        background = Background(MlflowWriter(self.uri, journal), taken, self._notify)
        self._session = _Session(journal, background, study_run, data)
        for event in pending:
            background.submit(event)
        self._append("open", data=data)
        background.start()

    @property
    def study_run(self) -> str:
        """Names this run of the study; `study run --again` begins a new one."""
        return self._opened.study_run

    @_never_raises
    def start(self, trial: Trial) -> None:
        session = self._opened
        hashes = {key: session.data["tags"][key] for key in ("study_hash", "space_hash")}
        known = trial.id in session.run.starts
        self._append("start", trial.id, {} if known else trial_data(trial, **hashes))

    @_never_raises
    def log(self, trial_id: str, record: EpochRecord) -> None:
        run = self._opened.run
        if record.epoch not in run.epochs.get(trial_id, {}):
            self._append("log", trial_id, record_data(record))

    @_never_raises
    def finish(self, trial_id: str, result: TrialResult) -> None:
        self._append("finish", trial_id, asdict(result))

    @_never_raises
    def artifact(self, name: str, data: bytes | str) -> None:
        content = {"text": data} if isinstance(data, str) else {"base64": b64encode(data).decode()}
        self._append("artifact", data={"name": name, **content})

    def flush(self, timeout_s: float = 30.0) -> int:
        return self._session.background.flush(timeout_s) if self._session else 0

    @_never_raises
    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> None:
        if self._session is None:
            return
        session, run, before = self._session, self._session.run, self._session.run.before
        for trial in run.unfinished:
            self._append("finish", trial, {"status": "interrupted"})
        trial_s = before["trial_s"] + sum(result.get("seconds", 0.0) for result in run.results.values())
        self._append("close", data={"status": status, "wall_s": before["wall_s"] + run.wall_s, "trial_s": trial_s})
        self._session = None
        left = session.background.stop(timeout_s)
        session.journal.close()
        if left:
            name = session.data["name"]
            self.say_once(
                f"{left} events are not in MLflow yet; the journal keeps them. When MLflow is back: study sync {name}"
            )

    def say_once(self, text: str) -> None:
        """Notify, but not twice of the same."""
        if text not in self._said:
            self._said.add(text)
            self._notify(text)

    @property
    def _opened(self) -> "_Session":
        if self._session is None:
            raise RuntimeError("the tracker is not open")
        return self._session

    def _append(self, kind: Kind, trial: str = "", data: dict[str, Any] | None = None) -> None:
        session = self._opened
        try:
            event = session.journal.append(session.study_run, kind, trial, data)
        except JournalError as error:
            self.say_once(f"The journal cannot be written ({error}). Free some space: MLflow alone keeps the runs now.")
            event = error.event
        session.background.submit(event)


@dataclass(frozen=True)
class _Session:
    """What an open tracker holds."""

    journal: Journal
    background: Background
    study_run: str
    data: dict[str, Any]

    @property
    def run(self) -> StudyRun:
        return self.journal.runs[self.study_run]


def _choose(journal: Journal, name: str, uri: str, *, resume: bool, synced: bool) -> tuple[str, dict[str, float]]:
    """The run of the study to write to, and the seconds that sessions elsewhere have spent on it.

    Resuming goes on with the run that was opened last, here or, as final runs may, on another machine.
    """
    local, nothing = journal.newest, {"wall_s": 0.0, "trial_s": 0.0}
    if resume and (local is None or synced):
        with suppress(Exception):  # MLflow is down: what this machine knows must do
            found = newest_run(connect(uri), name)
            if found and (local is None or local.opened is None or found.info.start_time > local.opened.time_ms):
                before = {key: found.data.metrics.get(key, 0.0) for key in nothing}
                return found.data.tags["study_run"], before
    if resume and local is not None:
        return local.id, local.before
    return uuid.uuid4().hex[:12], nothing
