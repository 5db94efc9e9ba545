"""A study, its trials and what they tell, as tests make them up."""

from dataclasses import replace
from typing import Any

from go4align.training import EpochRecord, Evaluation, StepSummary
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult

GOOD: dict[str, Any] = {
    "name": "mine",
    "benchmark": {"name": "toy"},
    "training": {"epochs": 2, "batch_size": 64, "lr": 0.01},
    "methods": ["ls", "go4align"],
    "search_space": "toy",
    "budget": {"trials": 2},
}
"""A study file without faults."""

TASKS = 3


def study_of(name: str = "tracked", **changes: Any) -> StudyFile:
    """Two methods on the toy benchmark with `TASKS` tasks."""
    return StudyFile(
        **{
            "name": name,
            "benchmark": {"name": "toy", "n_tasks": TASKS},
            "training": {"epochs": 3, "batch_size": 32, "lr": 0.003},
            "methods": ["ls", "go4align"],
            "search_space": "toy",
            "budget": {"trials": 2},
        }
        | changes
    )


def trial_of(trial_id: str, method: str = "go4align", **changes: Any) -> Trial:
    """A search trial of that study."""
    chosen = {"lr": 1 / 3, **({"n_groups": 2, "beta": 1e-7} if method == "go4align" else {})}
    return replace(Trial(trial_id, "search", study_of().configuration(method, chosen), seed=7), **changes)


def record_of(epoch: int, *, grouped: bool = True) -> EpochRecord:
    """An epoch of it; with groups, or as of a method that has none."""
    rows = (0.1 * epoch, 1.0, float(epoch)), (0.5, 1 / 3, 2.0)
    groups = ((0, 1, 1), (0.5, 0.7, 0.7), ((1.0, 0.0, 0.25), (0.0, 1.0, 0.75), (0.25, 0.75, 1.0)))
    train = StepSummary(*rows, *(groups if grouped else ()))
    val = Evaluation((1.0, 2.0, 3.0 / epoch), {f"task{m}/mae": m / epoch for m in range(TASKS)})
    return EpochRecord(epoch, 0.001, 0.25, train, val, monitored=-0.5 * epoch, best=-0.5 * epoch)


def result_of(trial: str, epochs: int = 3, **changes: Any) -> TrialResult:
    """Its result after these epochs."""
    metrics = {"val/task0/mae": 1 / 3, "val/delta_m": -1.5, "test/task0/mae": 0.4}
    return replace(TrialResult(trial, "finished", -0.5 * epochs, metrics, epochs, 12.5), **changes)
