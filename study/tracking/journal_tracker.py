"""The tracker of real studies: the local journal at once, MLflow from a thread that may come late but loses nothing."""

import uuid
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from go4align.errors import UserError
from go4align.training import EpochRecord
from study.home import study_folder
from study.spec.study_file import StudyFile
from study.store.keys import record_data, study_data, trial_data
from study.store.uri import store_name, tracking_uri, without_password
from study.tracking.beginning import journalled, stored
from study.tracking.events import JournalledRun, Kind, history_of
from study.tracking.journal import Journal, JournalError, read_journal
from study.tracking.ledger import Ledger
from study.tracking.mlflow_writer import MlflowWriter
from study.tracking.sender import Notify, Sender
from study.tracking.summary import best_metrics
from study.tracking.tracker import StudyStatus, Tracker
from study.trials.history import History
from study.trials.records import Trial, TrialResult

_P = ParamSpec("_P")
_NOTHING = {"wall_s": 0.0, "trial_s": 0.0}


def _never_raises(
    method: "Callable[Concatenate[JournalTracker, _P], None]",
) -> "Callable[Concatenate[JournalTracker, _P], None]":
    """What goes wrong in tracking is told, once for each cause, and does not stop a study; a full disk does."""

    @wraps(method)
    def guarded(self: "JournalTracker", /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except JournalError:
            raise
        except Exception as error:
            self.say_once(f"Tracking failed ({method.__name__}): {type(error).__name__}: {error}")

    return guarded


class JournalTracker(Tracker):
    """A `Tracker` that writes a journal in the study's folder and, in the background, MLflow.

    Args:
        study: the validated study file.
        uri: the tracking store, see `study.store.uri.tracking_uri`.
        space_hash: of the search space, kept with every run.
        source: the study file's text, with its comments; default its validated values.
        study_run: the run of the study to go on with; default a new one. It keeps its study file and hashes,
        changed: unless they were changed on purpose since its last session.
        notify: told in one line when MLflow goes down, is back, or refuses something; may be called from a thread.
    """

    def __init__(
        self,
        study: StudyFile,
        uri: str,
        *,
        space_hash: str = "",
        source: str | None = None,
        study_run: str | None = None,
        changed: bool = False,
        notify: Notify,
    ) -> None:
        self.uri = uri
        self.study_run = study_run or uuid.uuid4().hex[:12]
        self._name = study.name
        self._gpus = {stage: study.resources_of(stage).gpus for stage in ("search", "final")}
        self._data = study_data(study, space_hash=space_hash, source=source) | {"store": store_name(uri)}
        self._resumes = study_run is not None
        self._changed = changed
        self._notify = notify
        self._said: set[str] = set()
        self._session: _Session | None = None

    def open(self) -> History:
        folder = study_folder(self._name)
        journal = Journal(folder)
        try:
            known = journal.runs.get(self.study_run)
            data = self._begun(known)
            ledger = Ledger(folder, self.uri)
            own = [run for run in ledger.own(journal) if run is not known]
            pending = ledger.missing([*own, known] if known else own)
            sender = Sender(MlflowWriter(self.uri, journal), ledger, self._notify, beats=True)
            for event in pending:
                sender.submit(event)
            self._session = _Session(journal, sender, self.study_run, data["tags"])
            self._append("open", data=data)
        except BaseException:
            self._session = None
            journal.close()
            raise
        sender.start()
        return self._history()

    @_never_raises
    def start(self, trial: Trial) -> None:
        session = self._opened
        session.stages.add(trial.stage)
        hashes = {key: session.tags[key] for key in ("study_hash", "space_hash")}
        known = trial.id in session.run.starts
        self._append("start", trial.id, {} if known else trial_data(trial, **hashes))

    @_never_raises
    def log(self, trial_id: str, record: EpochRecord) -> None:
        run = self._opened.run
        if record.epoch not in run.epochs.get(trial_id, {}):
            self._append("log", trial_id, record_data(record))

    @_never_raises
    def finish(self, trial_id: str, result: TrialResult) -> None:
        if result.network_mib is not None:
            self._append("network", trial_id, {"mib": result.network_mib})
        data = asdict(result)
        run = self._opened.run
        best = best_metrics(run, run.results | {trial_id: data})
        self._append("finish", trial_id, {**data, "cost": self._cost(result.seconds), "best": best})

    @_never_raises
    def artifact(self, name: str, data: bytes | str) -> None:
        content = {"text": data} if isinstance(data, str) else {"base64": b64encode(data).decode()}
        self._append("artifact", data={"name": name, **content})

    def flush(self, timeout_s: float = 30.0) -> int:
        return self._session.sender.flush(timeout_s) if self._session else 0

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        if (session := self._session) is None:
            return 0
        self._append_end(status)
        self._session = None
        left = session.sender.stop(timeout_s)
        with suppress(OSError):  # a network's disk may tell only now that it is full
            session.journal.close()
        if left:
            command = f"study sync {self._name}"
            with suppress(UserError):
                if self.uri != tracking_uri():
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

    def _begun(self, known: JournalledRun | None) -> dict[str, Any]:
        """What the "open" event says: what the session is made from, and how far its run of the study is."""
        if not self._resumes:
            return self._data | {"before": _NOTHING}
        beginning = journalled(known) if known else stored(self._name, self.study_run, self.uri)
        data = self._data if self._changed else beginning.kept(self._data)
        return data | {
            "before": beginning.before,
            "search_status": beginning.search_status,
            "resumed": True,
            "changed": self._changed,
        }

    def _history(self) -> History:
        session = self._opened
        if not session.run.starts:
            return History()
        events = (event for event in read_journal(session.journal.folder) if event.study_run == self.study_run)
        return history_of(events, session.run.wall_s)

    @_never_raises
    def _append_end(self, status: StudyStatus) -> None:
        session = self._opened
        run = session.run
        for trial in run.unfinished:
            self._append("finish", trial, {"status": "interrupted"})
        ends: dict[str, str] = {"status": status, "search_status": status}
        if self._resumes and session.stages <= {"final", "grouping"}:
            failed = run.search_status in {"failed", "interrupted"}
            ends = {"status": run.search_status if failed else status, "search_status": run.search_status}
        self._append("close", data={**ends, "wall_s": run.before["wall_s"] + run.wall_s, **self._cost()})

    def _cost(self, further_s: float = 0.0) -> dict[str, float]:
        """What the ended trials of this run have taken in all."""
        run = self._opened.run
        seconds = dict.fromkeys(self._gpus, 0.0) | {"search": run.before["trial_s"] + further_s}
        for trial, result in run.results.items():
            stage = "final" if run.starts[trial].data["tags"]["stage"] == "final" else "search"
            seconds[stage] += result.get("seconds", 0.0)
        gpu_s = sum(self._gpus[stage] * taken for stage, taken in seconds.items())
        return {"trial_s": sum(seconds.values()), "gpu_hours": gpu_s / 3600}

    def _append(self, kind: Kind, trial: str = "", data: dict[str, Any] | None = None) -> None:
        """Without the journal's knowledge MLflow is told only how it ended."""
        session = self._opened
        try:
            event = session.journal.append(self.study_run, kind, trial, data)
        except JournalError as error:
            if kind != "close" and (data or {}).get("status") != "interrupted":
                raise
            event = error.event
        session.sender.submit(event)


@dataclass(frozen=True)
class _Session:
    """What an open tracker holds.

    Attributes:
        tags: of the study, as they are in force.
        stages: of the trials that began in it.
    """

    journal: Journal
    sender: Sender
    study_run: str
    tags: dict[str, str]
    stages: set[str] = field(default_factory=set)

    @property
    def run(self) -> JournalledRun:
        return self.journal.runs[self.study_run]
