"""The tracker of real studies: the local journal at once, MLflow from a thread that may come late but loses nothing."""

import sys
import uuid
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from go4align.errors import UserError
from go4align.training import EpochRecord
from study.background import Background, Notify
from study.config import StudyFile
from study.events import Kind, StudyRun
from study.history import History, history_of
from study.home import study_folder, tracking_uri, without_password
from study.journal import Journal, JournalError, Taken, read_journal
from study.mlflow_client import connect
from study.mlflow_queries import has_results, newest_run
from study.mlflow_writer import MlflowWriter
from study.schema import record_data, study_data, trial_data
from study.tracking import StudyStatus
from study.trial import Trial, TrialResult

_P = ParamSpec("_P")
_NOTHING = {"wall_s": 0.0, "trial_s": 0.0}
_KEPT = ("study_file", "study_hash", "space_hash")
"""Tags that say what a run was made from; who resumes it goes on with them."""


def to_stderr(text: str) -> None:
    """Where notices go that nobody else takes."""
    sys.stderr.write(text + "\n")


def _never_raises(
    method: "Callable[Concatenate[MlflowTracker, _P], None]",
) -> "Callable[Concatenate[MlflowTracker, _P], None]":
    """What goes wrong in tracking is told, once for each cause, and does not stop a study; a full disk does."""

    @wraps(method)
    def guarded(self: "MlflowTracker", /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except JournalError:
            raise
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

    def open(
        self,
        study: StudyFile,
        *,
        space_hash: str = "",
        source: str | None = None,
        resume: bool | str = False,
        changed: bool = False,
    ) -> None:
        self.uri, folder = tracking_uri(self.uri or study.tracking_uri), study_folder(study.name)
        data = study_data(study, space_hash=space_hash, source=source)
        journal, taken = Journal(folder), Taken(folder, self.uri)
        own = taken.own(journal)
        pending = taken.missing(own)
        chosen: _Chosen | None = None
        if isinstance(resume, str):
            chosen = _known(journal.runs[resume])
        elif resume:
            chosen = _choose(journal, own, study.name, self.uri, synced=not pending)
        data |= {"store": taken.store, "before": chosen.before if chosen else _NOTHING}
        if chosen:
            data |= {"resumed": True, "changed": changed}
            if not changed:
                data["tags"] |= {key: value for key in _KEPT if (value := chosen.tags.get(key))}
                data["source"] = chosen.source or data["source"]
            known = journal.runs.get(chosen.study_run)
            if known and known not in own:
                taken.owe(known)
                pending = taken.missing([*own, known])
        study_run = chosen.study_run if chosen else uuid.uuid4().hex[:12]
        background = Background(MlflowWriter(self.uri, journal), taken, self._notify)
        status = chosen.search_status if chosen else None
        self._session = _Session(journal, background, study_run, data, status, study.resources.gpus)
        for event in pending:
            background.submit(event)
        self._append("open", data=data)
        background.start()

    def history(self) -> History:
        session = self._opened
        if not session.run.starts:
            return History()
        events = (event for event in read_journal(session.journal.path.parent) if event.study_run == session.study_run)
        return history_of(events, session.run.wall_s)

    @property
    def study_run(self) -> str:
        """Names this run of the study; `study run --again` begins a new one."""
        return self._opened.study_run

    @_never_raises
    def start(self, trial: Trial) -> None:
        session = self._opened
        session.stages.add(trial.stage)
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
        self._append("finish", trial_id, {**asdict(result), "cost": self._cost(result.seconds)})

    @_never_raises
    def artifact(self, name: str, data: bytes | str) -> None:
        content = {"text": data} if isinstance(data, str) else {"base64": b64encode(data).decode()}
        self._append("artifact", data={"name": name, **content})

    def flush(self, timeout_s: float = 30.0) -> int:
        return self._session.background.flush(timeout_s) if self._session else 0

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        if (session := self._session) is None:
            return 0
        self._append_end(status)
        self._session = None
        left = session.background.stop(timeout_s)
        with suppress(OSError):
            session.journal.close()
        if left:
            command = f"study sync {session.data['name']}"
            with suppress(UserError):
                if self.uri and self.uri != tracking_uri():
                    command += f" --tracking-uri {without_password(self.uri)}"
            self.say_once(
                f"{left} events are not in MLflow yet; the journal keeps them. When MLflow is back: {command}"
            )
        return left

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

    @_never_raises
    def _append_end(self, status: StudyStatus) -> None:
        session, run, before = self._opened, self._opened.run, self._opened.run.before
        for trial in run.unfinished:
            self._append("finish", trial, {"status": "interrupted"})
        ends: dict[str, str] = {"status": status, "search_status": status}
        if session.search_status and session.stages <= {"final"}:
            failed = session.search_status in {"failed", "interrupted"}
            ends = {"status": session.search_status if failed else status, "search_status": session.search_status}
        self._append("close", data={**ends, "wall_s": before["wall_s"] + run.wall_s, **self._cost()})

    def _cost(self, further_s: float = 0.0) -> dict[str, float]:
        """What the ended trials of this run have taken in all."""
        session, run = self._opened, self._opened.run
        ended_s = sum(result.get("seconds", 0.0) for result in run.results.values())
        trial_s = run.before["trial_s"] + ended_s + further_s
        return {"trial_s": trial_s, "gpu_hours": trial_s * session.gpus / 3600}

    def _append(self, kind: Kind, trial: str = "", data: dict[str, Any] | None = None) -> None:
        """Without the journal's knowledge MLflow is told only how it ended."""
        session = self._opened
        try:
            event = session.journal.append(session.study_run, kind, trial, data)
        except JournalError as error:
            if kind != "close" and (data or {}).get("status") != "interrupted":
                raise
            event = error.event
        session.background.submit(event)


@dataclass(frozen=True)
class _Session:
    """What an open tracker holds.

    Attributes:
        search_status: how the search of a resumed run had ended, else None.
        gpus: of one trial.
    """

    journal: Journal
    background: Background
    study_run: str
    data: dict[str, Any]
    search_status: str | None
    gpus: float
    stages: set[str] = field(default_factory=set)

    @property
    def run(self) -> StudyRun:
        return self.journal.runs[self.study_run]


@dataclass(frozen=True)
class _Chosen:
    """The run of the study to go on with.

    Attributes:
        study_run: its name.
        before: the seconds that sessions elsewhere have spent on it.
        tags: of its parent run.
        source: its study file's text; empty where only the store has it.
        search_status: how its search ended.
    """

    study_run: str
    before: dict[str, float]
    tags: dict[str, str]
    source: str
    search_status: str


def _choose(journal: Journal, own: list[StudyRun], name: str, uri: str, *, synced: bool) -> _Chosen | None:
    """The run of the study to go on with: the one that readers of the store take, as far as it can be told.

    The store may be down, or lack what this machine has yet to bring there (unless `synced`): then the same is chosen
    from the journal's runs that are the store's `own`.
    """
    local = next((run for run in reversed(own) if run.has_results), own[-1] if own else None)
    with suppress(Exception):  # MLflow is down: what this machine knows must do
        client = connect(uri)
        found = newest_run(client, name)
        if found and (synced or has_results(client, found) or not _newer(local, found.info.start_time)):
            tags, known = found.data.tags, journal.runs.get(found.data.tags["study_run"])
            before = {key: found.data.metrics.get(key, 0.0) for key in _NOTHING}
            if known and not synced:
                status = known.search_status
            else:
                status = tags.get("search_status") or tags.get("status", "running")
            source = known.opened.data.get("source", "") if known and known.opened else ""
            return _Chosen(tags["study_run"], known.before if known else before, tags, source, status)
    return _known(local) if local else None


def _known(run: StudyRun) -> _Chosen:
    """A run that this machine's journal knows."""
    data = run.opened.data if run.opened else {}
    return _Chosen(run.id, run.before, data.get("tags", {}), data.get("source", ""), run.search_status)


def _newer(local: StudyRun | None, start_ms: int) -> bool:
    if local is None:
        return False
    return local.has_results or (local.opened is not None and local.opened.time_ms >= start_ms)
