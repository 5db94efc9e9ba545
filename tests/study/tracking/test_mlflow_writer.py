"""What MLflow holds of a trial and of the study, and that telling it twice changes nothing."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from records import TASKS, record_of, result_of, study_of, trial_of
from stored import finished
from trackers import Notices, artifact, opened, points, run_one, runs_of

from go4align.training import Evaluation
from study import open_study
from study.spec.configuration import Configuration
from study.spec.study_file import StudyFile
from study.tracking import JournalTracker


def test_a_trial_is_stored_whole(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    trial = trial_of("go4align-0", origin="default", reference={"val": {"task0/mae": 1.0}})
    run_one(tracker, trial)
    assert tracker.flush() == 0
    run = runs_of(uri)["go4align-0"]
    params, tags = run.data.params, run.data.tags
    expected = {"method": "go4align", "n_groups": "2", "beta": "1e-07", "space": "linear", "seed": "7"}
    expected |= {"benchmark": "toy", "benchmark.n_tasks": "3", "benchmark.train_size": "512", "training.epochs": "3"}
    assert expected.items() <= params.items()
    assert float(params["lr"]) == 1 / 3
    assert {
        "stage": "search",
        "origin": "default",
        "space_hash": "space",
        "status": "finished",
    }.items() <= tags.items()
    assert {"mlflow.runName", "mlflow.parentRunId", "study_hash", "code_version", "seed", "trial"} <= set(tags)
    assert Configuration.model_validate_json(tags["configuration"]) == trial.configuration
    assert (run.info.status, run.info.run_name) == ("FINISHED", "go4align-0")
    for key, values in {
        "train/task0/loss": (0.1, 0.2, 0.1 * 3),
        "val/task2/loss": (3.0, 1.5, 1.0),
        "train/task1/weight": (1 / 3,) * 3,
        "train/task2/group": (1.0,) * 3,
        "val/task1/mae": (1.0, 0.5, 1 / 3),
        "val/delta_m": (-0.5, -1.0, -1.5),
        "score": (-0.5, -1.0, -1.5),
        "lr": (0.001,) * 3,
        "wall_s": (0.25,) * 3,
    }.items():
        assert points(uri, run, key) == list(enumerate(values, 1)), key
    assert points(uri, run, "best/val/task0/mae") == [(3, 1 / 3)]
    assert points(uri, run, "test/task0/mae") == [(3, 0.4)]
    assert points(uri, run, "seconds") == [(3, 12.5)]
    assert finished("tracked", uri) == {"go4align-0": result_of("go4align-0")}


PARTS: dict[str, tuple[list[float | None], float | None, float | None]] = {
    "measured all along": ([100.0, 120.0], 130.0, 130.0),
    "went on after a kill from an earlier epoch": ([100.0, 500.0], 130.0, 500.0),
    "stopped on the driver": ([100.0, 120.0], None, 120.0),
    "failed in its first epoch": ([], 90.0, 90.0),
    "never measured": ([None, None], None, None),
}
"""What a trial's epochs and its result measured, and what its run shall have."""


@pytest.mark.parametrize("case", PARTS)
@pytest.mark.parametrize("key", ["peak_host_mib", "peak_device_mib"])
def test_the_peak_of_memory_is_that_of_all_that_a_trial_did(
    case: str, key: str, tracker: JournalTracker, uri: str
) -> None:
    epochs, result, expected = PARTS[case]
    tracker.start(trial_of("ls-0", "ls"))
    for number, peak in enumerate(epochs, 1):
        tracker.log("ls-0", replace(record_of(number), **{key: peak}))
    tracker.finish("ls-0", result_of("ls-0", len(epochs), status="stopped", **{key: result}))
    tracker.flush()
    found = runs_of(uri)["ls-0"].data.metrics
    assert found.get(key) == expected
    assert not ({"peak_host_mib", "peak_device_mib"} - {key}) & set(found)
    row = open_study("tracked", uri).trials.set_index("trial").loc["ls-0"]
    assert row[key] == expected or (expected is None and math.isnan(row[key]))


def test_the_peak_of_memory_is_one_number_of_a_trial(tracker: JournalTracker, uri: str) -> None:
    tracker.start(trial_of("ls-0", "ls"))
    for epoch in (1, 2):
        tracker.log("ls-0", replace(record_of(epoch), peak_host_mib=100.0 + epoch))
    tracker.finish("ls-0", result_of("ls-0", 2, peak_host_mib=104.0))
    tracker.flush()
    assert points(uri, runs_of(uri)["ls-0"], "peak_host_mib") == [(2, 104.0)]


def test_the_epoch_table(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("go4align-0"))
    tracker.start(trial_of("ls-0", "ls"))
    tracker.log("ls-0", record_of(1, grouped=False))
    tracker.finish("ls-0", result_of("ls-0", 1))
    tracker.flush()
    stored = open_study("tracked", uri)
    values = stored.epochs.pivot(index=["trial", "epoch", "task"], columns="quantity", values="value")
    row = values.loc["go4align-0", 2, "task2"]
    kinds = ["train/loss", "val/loss", "train/weight", "train/group", "train/group_centre"]
    assert list(row[kinds]) == [2.0, 1.5, 2.0, 1, 0.7]
    shares = stored.co_assignment.query("trial == 'go4align-0' and epoch == 3")
    matrix = shares.pivot(index="task", columns="other", values="share").to_numpy()
    assert tuple(map(tuple, matrix)) == record_of(3).train.co_assignment
    assert not set(stored.epochs[stored.epochs["trial"] == "ls-0"]["quantity"]) & {"train/group", "train/group_centre"}
    assert set(stored.co_assignment["trial"]) == {"go4align-0"}


def test_one_batch_per_epoch(tracker: JournalTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    log_batch = MlflowClient.log_batch

    def counted(self: MlflowClient, run_id: str, metrics: Any = (), *args: Any, **kwargs: Any) -> Any:
        calls.append(len(metrics))
        return log_batch(self, run_id, metrics, *args, **kwargs)

    tracker.start(trial_of("a"))
    tracker.flush()
    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    tracker.log("a", record_of(1))
    tracker.flush()
    assert calls == [4 * TASKS + TASKS + 3]


def test_more_metrics_than_mlflow_takes_at_once(tracker: JournalTracker, uri: str) -> None:
    many = {f"task0/metric{i}": float(i) for i in range(1500)}
    tracker.start(trial_of("a"))
    tracker.log("a", replace(record_of(1), val=Evaluation((1.0, 2.0, 3.0), many)))
    tracker.flush()
    assert {f"val/{key}": value for key, value in many.items()}.items() <= runs_of(uri)["a"].data.metrics.items()


def test_how_trials_end(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("a"))
    run_one(tracker, trial_of("b"), 2, status="stopped")
    failure = {
        "status": "failed",
        "score": None,
        "metrics": {},
        "reason": "epoch 2: loss is nan",
        "details": "Trace\nback",
    }
    run_one(tracker, trial_of("c"), 1, **failure)
    tracker.start(trial_of("d"))
    tracker.close("finished")
    runs = runs_of(uri)
    ends = {key: (run.info.status, run.data.tags["status"]) for key, run in runs.items()}
    assert ends == {
        "a": ("FINISHED", "finished"),
        "b": ("KILLED", "stopped"),
        "c": ("FAILED", "failed"),
        "d": ("KILLED", "interrupted"),
        "study": ("FINISHED", "finished"),
    }
    assert runs["c"].data.tags["reason"] == "epoch 2: loss is nan"
    assert artifact(uri, runs["c"], "failure.txt", tmp_path) == b"Trace\nback"


def test_the_parent_run(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("a"))
    run_one(tracker, trial_of("b"))
    tracker.artifact("tables/final.csv", "a,b\n")
    tracker.artifact("plot.png", b"\x89\x00")
    tracker.close("interrupted")
    parent = runs_of(uri)["study"]
    assert parent.info.status == "KILLED"
    assert StudyFile.model_validate_json(parent.data.tags["study_file"]) == study_of()
    assert parent.data.metrics["trial_s"] == 25.0
    assert 0 <= parent.data.metrics["wall_s"] < 60
    assert artifact(uri, parent, "tables/final.csv", tmp_path) == b"a,b\n"
    assert artifact(uri, parent, "plot.png", tmp_path) == b"\x89\x00"
    assert b"name: tracked" in artifact(uri, parent, "study.yaml", tmp_path)


def test_no_password_is_stored(uri: str, tmp_path: Path) -> None:
    study = study_of(tracking_uri="postgresql://me:swordfish@host/db")
    opened(uri, study, source="tracking_uri: postgresql://me:swordfish@host/db").close("finished")
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"swordfish" in path.read_bytes()]
    assert found == []


def test_values_that_are_not_finite(tracker: JournalTracker, uri: str) -> None:
    tracker.start(trial_of("a"))
    tracker.log("a", replace(record_of(1), val=Evaluation((float("nan"), float("inf"), 1.0), {})))
    tracker.flush()
    metrics = runs_of(uri)["a"].data.metrics
    assert np.isnan(metrics["val/task0/loss"])
    assert metrics["val/task1/loss"] > 1e308


def test_warnings_of_a_trial_are_kept_with_it(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("a"), warnings=("mgda missed its condition", "No checkpoint can be written"))
    tracker.close("finished")
    text = artifact(uri, runs_of(uri)["a"], "warnings.txt", tmp_path).decode()
    assert text.splitlines() == ["mgda missed its condition", "No checkpoint can be written"]


def test_the_cost_so_far_is_kept_with_the_study_while_it_runs(uri: str, notices: Notices) -> None:
    tracker = opened(uri, study_of(resources={"gpus": 0.5}), notices=notices)
    for trial in "ab":
        run_one(tracker, trial_of(trial))
    assert tracker.flush() == 0
    metrics = runs_of(uri)["study"].data.metrics
    assert metrics["trial_s"] == 2 * 12.5
    assert metrics["gpu_hours"] == pytest.approx(12.5 / 3600)
    tracker.close("finished")


def test_an_epoch_or_trial_that_comes_twice_is_stored_once(tracker: JournalTracker, uri: str) -> None:
    for _ in range(2):
        run_one(tracker, trial_of("a"))
    tracker.flush()
    run = runs_of(uri)["a"]
    assert [step for step, _ in points(uri, run, "score")] == [1, 2, 3]
    assert run.info.status == "FINISHED"
