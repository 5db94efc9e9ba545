"""Trackers: one that keeps everything in memory, and what the real one has brought to a store."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from records import record_of, result_of, study_of

from go4align.training import EpochRecord
from study.spec.study_file import StudyFile
from study.tracking import JournalTracker, StudyStatus, Tracker
from study.trials.records import Trial, TrialResult


class MemoryTracker(Tracker):
    """Keeps everything in lists and dictionaries."""

    def __init__(self) -> None:
        self.status: StudyStatus | None = None
        self.trials: dict[str, Trial] = {}
        self.records: dict[str, list[EpochRecord]] = {}
        self.results: dict[str, TrialResult] = {}
        self.artifacts: dict[str, bytes | str] = {}

    def start(self, trial: Trial) -> None:
        self.trials.setdefault(trial.id, trial)
        self.results.pop(trial.id, None)

    def log(self, trial_id: str, record: EpochRecord) -> None:
        records = self.records.setdefault(trial_id, [])
        if all(known.epoch != record.epoch for known in records):
            records.append(record)

    def finish(self, trial_id: str, result: TrialResult) -> None:
        self.results[trial_id] = result

    def artifact(self, name: str, data: bytes | str) -> None:
        self.artifacts[name] = data

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        self.status = status
        return 0


class Notices(list[str]):
    """Every line that a tracker has told."""

    def __call__(self, text: str) -> None:
        self.append(text)


def opened(
    uri: str, study: StudyFile | None = None, *, notices: Notices | None = None, **options: Any
) -> JournalTracker:
    """An open tracker; `study_run` and the like are its own options."""
    notify = Notices() if notices is None else notices
    tracker = JournalTracker(study or study_of(), uri, notify=notify, **options)
    tracker.open()
    return tracker


def run_one(tracker: Tracker, trial: Trial, epochs: int = 3, **result: Any) -> None:
    """Tell of a whole trial."""
    tracker.start(trial)
    for epoch in range(1, epochs + 1):
        tracker.log(trial.id, record_of(epoch))
    tracker.finish(trial.id, result_of(trial.id, epochs, **result))


def runs_of(uri: str, name: str = "tracked") -> dict[str, Run]:
    """All runs of an experiment by trial; a parent is called "study". Two of one name are an error."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    names = [run.data.tags.get("trial", "study") for run in found]
    assert len(set(names)) == len(names), names
    return dict(zip(names, found, strict=True))


def points(uri: str, run: Run, key: str) -> list[tuple[int, float]]:
    """A metric's steps and values."""
    return [(point.step, point.value) for point in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def steps(uri: str, trial: str) -> list[int]:
    """The epochs of a trial that the store has, as often as it has them."""
    return [step for step, _ in points(uri, runs_of(uri)[trial], "score")]


def artifact(uri: str, run: Run, path: str, folder: Path) -> bytes:
    """A file of a run, by way of a folder."""
    return Path(MlflowClient(uri).download_artifacts(run.info.run_id, path, str(folder))).read_bytes()
