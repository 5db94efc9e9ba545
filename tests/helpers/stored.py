"""Studies as a store has them: made up, told to a tracker, and read back."""

from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

from records import result_of, study_of

from study import open_study
from study.spec.study_file import StudyFile
from study.tracking import JournalTracker
from study.trials.records import Trial, TrialResult


def store_in(folder: Path, empty_store: Path) -> str:
    """The URI of an empty store in a folder, from one to copy."""
    copy(empty_store, folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


def small_study(name: str, *, n_tasks: int = 2, **training: Any) -> StudyFile:
    """Two methods on the toy benchmark; a trial takes half a GPU."""
    return study_of(
        name,
        benchmark={"name": "toy", "n_tasks": n_tasks},
        training={"epochs": 3, "batch_size": 32, "lr": 0.003} | training,
        resources={"cpus": 1, "gpus": 0.5},
    )


def small_trial(trial_id: str, *, n_tasks: int = 2, **changes: Any) -> Trial:
    """A search trial `METHOD-NUMBER`."""
    method = trial_id.partition("-")[0]
    chosen = {"lr": 1 / 3} | ({"n_groups": 2, "space": "log"} if method == "go4align" else {})
    trial = Trial(trial_id, "search", small_study("a", n_tasks=n_tasks).configuration(method, chosen), seed=0)
    return replace(trial, **changes)


def whole_result(trial: str, score: float | None, **changes: Any) -> TrialResult:
    """Its complete result; without metrics where it has no score."""
    metrics = {"val/task0/mae": 1 / 3, "test/task0/mae": 0.1} if score is not None else {}
    return replace(result_of(trial, score=score, metrics=metrics, seconds=3600.0), **changes)


def reference_trial(task: int, *, n_tasks: int = 2, **training: Any) -> Trial:
    """The single-task run of a task."""
    study = small_study("a", n_tasks=n_tasks, **training)
    return Trial(f"stl-{task}", "reference", study.configuration("stl", {"task": task}), seed=study.seeds.reference)


def reference_result(task: int, value: float = 0.5) -> TrialResult:
    """The single-task result of a task; all of its metrics are `value`."""
    return whole_result(f"stl-{task}", 0.2, metrics={f"{split}/task{task}/mae": value for split in ("val", "test")})


def end(tracker: JournalTracker, trial: Trial, result: TrialResult) -> None:
    """Tell the tracker a whole trial."""
    tracker.start(trial)
    tracker.finish(trial.id, result)


def finished(name: str, uri: str) -> dict[str, TrialResult]:
    """The results of complete trials by trial, put together again from a study's frames."""
    stored = open_study(name, uri)
    done = stored.trials[stored.trials["status"] == "finished"].set_index("trial")
    results = {}
    for trial, row in done.iterrows():
        metrics = {}
        for found in stored.metrics[stored.metrics["trial"] == trial].itertuples():
            key = "/".join(filter(None, (found.split, found.task, found.metric)))
            metrics |= {key: found.value} | ({} if found.change != found.change else {f"{key}_change": found.change})
        metrics |= {} if row["epoch_s"] != row["epoch_s"] else {"epoch_s": row["epoch_s"]}
        results[str(trial)] = TrialResult(
            str(trial), "finished", row["score"], metrics, int(row["epochs"]), row["seconds"]
        )
    return results
