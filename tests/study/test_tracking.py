import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from servers import MlflowServer, free_port

from go4align.errors import UserError
from go4align.training import EpochRecord, Evaluation
from go4align.training.records import StepSummary
from study import results
from study.config import Configuration, StudyFile
from study.home import study_folder
from study.journal import Journal
from study.mlflow_client import connect
from study.mlflow_tracker import MlflowTracker
from study.mlflow_writer import MlflowWriter
from study.sync import sync
from study.tracking import MemoryTracker, Tracker
from study.trial import Trial, TrialResult

TASKS = 3


def study_of(name: str = "tracked", **changes: Any) -> StudyFile:
    return StudyFile(
        name=name,
        benchmark={"name": "toy", "n_tasks": TASKS},
        training={"epochs": 3, "batch_size": 32, "lr": 0.003},
        methods=["ls", "go4align"],
        search_space="toy",
        budget={"trials": 2},
        **changes,
    )


def trial_of(trial_id: str, method: str = "go4align", **changes: Any) -> Trial:
    chosen = {"lr": 1 / 3, **({"n_groups": 2, "beta": 1e-7} if method == "go4align" else {})}
    return replace(Trial(trial_id, "search", study_of().configuration(method, chosen), seed=7), **changes)


def record_of(epoch: int, *, grouped: bool = True) -> EpochRecord:
    rows = (0.1 * epoch, 1.0, float(epoch)), (0.5, 1 / 3, 2.0)
    groups = ((0, 1, 1), (0.5, 0.7, 0.7), ((1.0, 0.0, 0.25), (0.0, 1.0, 0.75), (0.25, 0.75, 1.0)))
    train = StepSummary(*rows, *(groups if grouped else ()))
    val = Evaluation((1.0, 2.0, 3.0 / epoch), {f"task{m}/mae": m / epoch for m in range(TASKS)})
    return EpochRecord(epoch, 0.001, 0.25, train, val, monitored=-0.5 * epoch, best=-0.5 * epoch)


def result_of(trial: str, epochs: int = 3, **changes: Any) -> TrialResult:
    metrics = {"val/task0/mae": 1 / 3, "val/delta_m": -1.5, "test/task0/mae": 0.4}
    return replace(TrialResult(trial, "finished", -0.5 * epochs, metrics, epochs, 12.5), **changes)


def run_one(tracker: Tracker, trial: Trial, epochs: int = 3, **result: Any) -> None:
    tracker.start(trial)
    for epoch in range(1, epochs + 1):
        tracker.log(trial.id, record_of(epoch))
    tracker.finish(trial.id, result_of(trial.id, epochs, **result))


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making a store takes seconds, copying one does not."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}", create=True)
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


class Notices(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def notices() -> Notices:
    return Notices()


@pytest.fixture
def tracker(uri: str, notices: Notices) -> Iterator[MlflowTracker]:
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of(), space_hash="space")
    yield tracker
    tracker.close("failed", timeout_s=1)


def runs_of(uri: str, name: str = "tracked") -> dict[str, Run]:
    """All runs of an experiment by trial; a parent is called "study". Two of one name are an error."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    names = [run.data.tags.get("trial", "study") for run in found]
    assert len(set(names)) == len(names), names
    return dict(zip(names, found, strict=True))


def points(uri: str, run: Run, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def artifact(uri: str, run: Run, path: str, folder: Path) -> bytes:
    return Path(MlflowClient(uri).download_artifacts(run.info.run_id, path, str(folder))).read_bytes()


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


# What is stored


def test_a_trial_is_stored_whole(tracker: MlflowTracker, uri: str, tmp_path: Path) -> None:
    trial = trial_of("go4align-0", origin="published", reference={"val": {"task0/mae": 1.0}})
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
        "origin": "published",
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
    assert results.finished("tracked", uri) == {"go4align-0": result_of("go4align-0")}


def test_the_epoch_table(tracker: MlflowTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("go4align-0"))
    tracker.start(trial_of("ls-0", "ls"))
    tracker.log("ls-0", record_of(1, grouped=False))
    tracker.finish("ls-0", result_of("ls-0", 1))
    tracker.flush()
    runs = runs_of(uri)
    table = pd.read_parquet(io.BytesIO(artifact(uri, runs["go4align-0"], "epochs.parquet", tmp_path)))
    assert table.shape == (9, 8)
    row = table.query("epoch == 2 and task == 'task2'").iloc[0]
    assert (row.train_loss, row.val_loss, row.weight, row.group, row.group_centre) == (2.0, 1.5, 2.0, 1, 0.7)
    matrix = np.stack(table[table.epoch == 3].co_assignment)
    assert tuple(map(tuple, matrix)) == record_of(3).train.co_assignment
    table = pd.read_parquet(io.BytesIO(artifact(uri, runs["ls-0"], "epochs.parquet", tmp_path)))
    assert table[["group", "group_centre", "co_assignment"]].isna().all(axis=None)
    assert len(table) == 3


def test_one_batch_per_epoch(tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_more_metrics_than_mlflow_takes_at_once(tracker: MlflowTracker, uri: str) -> None:
    many = {f"task0/metric{i}": float(i) for i in range(1500)}
    tracker.start(trial_of("a"))
    tracker.log("a", replace(record_of(1), val=Evaluation((1.0, 2.0, 3.0), many)))
    tracker.flush()
    assert {f"val/{key}": value for key, value in many.items()}.items() <= runs_of(uri)["a"].data.metrics.items()


def test_how_trials_end(tracker: MlflowTracker, uri: str, tmp_path: Path) -> None:
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


def test_the_parent_run(tracker: MlflowTracker, uri: str, tmp_path: Path) -> None:
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
    tracker = MlflowTracker(uri)
    study = study_of(tracking_uri="postgresql://me:swordfish@host/db")
    tracker.open(study, source="tracking_uri: postgresql://me:swordfish@host/db")
    tracker.close("finished")
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"swordfish" in path.read_bytes()]
    assert found == []


def test_values_that_are_not_finite(tracker: MlflowTracker, uri: str) -> None:
    tracker.start(trial_of("a"))
    tracker.log("a", replace(record_of(1), val=Evaluation((float("nan"), float("inf"), 1.0), {})))
    tracker.flush()
    metrics = runs_of(uri)["a"].data.metrics
    assert np.isnan(metrics["val/task0/loss"])
    assert metrics["val/task1/loss"] > 1e308


# Twice is once


def test_an_epoch_or_trial_that_comes_twice_is_stored_once(tracker: MlflowTracker, uri: str) -> None:
    for _ in range(2):
        run_one(tracker, trial_of("a"))
    tracker.flush()
    run = runs_of(uri)["a"]
    assert [step for step, _ in points(uri, run, "score")] == [1, 2, 3]
    assert run.info.status == "FINISHED"


def test_a_resumed_study_goes_on_in_the_same_runs(uri: str) -> None:
    for status in ("interrupted", "finished"):
        tracker = MlflowTracker(uri)
        tracker.open(study_of(), resume=True)
        tracker.start(trial_of("a"))
        tracker.log("a", record_of(1))
        if status == "finished":
            run_one(tracker, trial_of("a"))
        tracker.close(status)
        run = runs_of(uri)["a"]
        assert (run.data.tags["status"], runs_of(uri)["study"].data.tags["status"]) == (status, status)
    assert [step for step, _ in points(uri, run, "score")] == [1, 2, 3]


def test_resuming_on_another_machine_goes_on_in_the_store_s_newest_run(uri: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(uri)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    shutil.rmtree(tmp_path / "studies")
    tracker.open(study_of(), resume=True)
    run_one(tracker, trial_of("b", stage="final"))
    tracker.close("finished")
    runs = runs_of(uri)
    assert set(runs) == {"study", "a", "b"}
    assert runs["study"].data.metrics["trial_s"] == 25.0


def test_again_is_another_run_of_the_study(uri: str) -> None:
    for score in (-9.0, -1.0):
        tracker = MlflowTracker(uri)
        tracker.open(study_of())
        run_one(tracker, trial_of("a"), score=score)
        tracker.close("finished")
    assert [found.score for found in results.best("tracked", uri)] == [-1.0]
    client = MlflowClient(uri)
    assert len(client.search_runs([client.get_experiment_by_name("tracked").experiment_id])) == 4


def parents_of(uri: str) -> list[Run]:
    """The parent runs, newest first."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment
    return list(client.search_runs([experiment.experiment_id], "tags.stage = 'study'"))


@pytest.mark.parametrize("here", [True, False])
def test_resuming_passes_over_a_run_without_results(here: bool, uri: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(uri)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    first = tracker.study_run
    tracker.close("finished")
    tracker.open(study_of())
    tracker.start(trial_of("b"))
    tracker.close("failed")
    assert len(parents_of(uri)) == 2
    if not here:
        shutil.rmtree(tmp_path / "studies")
    tracker.open(study_of(), resume=True)
    assert tracker.study_run == first
    tracker.close("finished")
    assert list(results.finished("tracked", uri)) == ["a"]


def test_resuming_with_the_store_down_passes_over_a_run_without_results(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = MlflowTracker(uri)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    first = tracker.study_run
    tracker.close("finished")
    tracker.open(study_of())
    tracker.close("failed")

    def down(*_: Any, **__: Any) -> Any:
        raise UserError("down")

    with monkeypatch.context() as patch:
        patch.setattr("study.mlflow_tracker.connect", down)
        tracker.open(study_of(), resume=True)
    assert tracker.study_run == first
    tracker.close("finished")


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("ended", ["finished", "interrupted", "failed"])
def test_final_runs_leave_what_the_search_was_made_from_and_how_it_ended(
    here: bool, ended: Any, uri: str, tmp_path: Path
) -> None:
    tracker = MlflowTracker(uri)
    tracker.open(study_of(), space_hash="space", source="# as written\nname: tracked")
    run_one(tracker, trial_of("a"))
    tracker.close(ended)
    before = runs_of(uri)["study"].data.tags
    for n, session in enumerate(("interrupted", "finished")):
        if not here:
            shutil.rmtree(tmp_path / "studies")
        tracker.open(study_of(seeds={"final": [7]}), resume=True)
        tracker.flush()
        assert runs_of(uri)["study"].data.tags["status"] == "running"
        run_one(tracker, trial_of(f"final-{n}", stage="final"))
        tracker.close(session)  # type: ignore[arg-type]
        runs = runs_of(uri)
        assert runs["study"].data.tags == before | {"status": session if ended == "finished" else ended}
        assert runs[f"final-{n}"].data.tags["space_hash"] == "space"
        assert runs[f"final-{n}"].data.tags["study_hash"] == before["study_hash"]
    assert artifact(uri, runs["study"], "study.yaml", tmp_path).startswith(b"# as written")


def test_runs_stay_in_the_store_they_were_made_for(uri: str, tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "shared.db")
    shared = f"sqlite:///{tmp_path}/shared.db"
    for store, trial in ((uri, "private"), (shared, "public"), (uri, "more")):
        tracker = MlflowTracker(store)
        tracker.open(study_of(), resume=True)
        run_one(tracker, trial_of(trial))
        tracker.close("finished")
    assert set(runs_of(uri)) == {"study", "private", "more"}
    assert set(runs_of(shared)) == {"study", "public"}
    for store in (uri, shared):
        assert sync("tracked", store) == (0, 0)
    assert set(runs_of(shared)) == {"study", "public"}


def test_a_run_that_was_copied_and_resumed_elsewhere_is_whole_there(
    uri: str, tmp_path: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "shared.db")
    shared = f"sqlite:///{tmp_path}/shared.db"
    tracker = MlflowTracker(uri)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    sync("tracked", shared, everything=True)
    for store, trial in ((uri, "b"), (shared, "c")):
        tracker = MlflowTracker(store)
        tracker.open(study_of(), resume=True)
        run_one(tracker, trial_of(trial))
        tracker.close("finished")
    assert set(runs_of(shared)) == {"study", "a", "b", "c"}


@pytest.mark.parametrize("method", ["create_run", "log_batch", "create_experiment", "log_artifact", "set_terminated"])
def test_a_call_whose_answer_is_lost_is_not_done_twice(
    method: str, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, lost = getattr(MlflowClient, method), iter([False, True] if method == "create_run" else [True])

    def lossy(*args: Any, **kwargs: Any) -> Any:
        answer = done(*args, **kwargs)
        if next(lost, False):
            raise ConnectionError("lost")
        return answer

    monkeypatch.setattr(MlflowClient, method, lossy)
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    runs = runs_of(uri)
    assert set(runs) == {"study", "a"}
    assert [step for step, _ in points(uri, runs["a"], "score")] == [1, 2, 3]
    assert notices == []


def test_runs_made_twice_by_an_http_retry_become_one(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MlflowClient.create_run

    def twice(*args: Any, **kwargs: Any) -> Run:
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", twice)
    monkeypatch.setattr("study.mlflow_runs._LATE_S", -1.0)
    tracker = MlflowTracker(uri)
    tracker.open(study_of())
    tracker.flush()
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    tracker.open(study_of(), resume=True)
    tracker.close("finished")
    assert set(runs_of(uri)) == {"study", "a"}


def test_the_journal_rebuilds_a_lost_store(tracker: MlflowTracker, uri: str, tmp_path: Path, empty_store: Path) -> None:
    run_one(tracker, trial_of("a"))
    run_one(tracker, trial_of("b"), 2, status="stopped")
    tracker.artifact("final.csv", "x")
    tracker.close("finished")
    shutil.copy(empty_store, tmp_path / "new.db")
    new = f"sqlite:///{tmp_path}/new.db"
    assert sync("tracked", new) == (0, 0)
    delivered, left = sync("tracked", new, everything=True)
    assert (delivered > 8, left) == (True, 0)
    for repeat in (new, uri):
        assert sync("tracked", repeat, everything=True) == (delivered, 0)
        assert sync("tracked", repeat) == (0, 0)
    old_runs, new_runs = runs_of(uri), runs_of(new)
    assert set(old_runs) == set(new_runs) == {"study", "a", "b"}
    for key, old in old_runs.items():
        rebuilt = new_runs[key]
        assert rebuilt.data.metrics == old.data.metrics
        assert rebuilt.data.params == old.data.params
        assert (rebuilt.info.status, rebuilt.info.start_time, rebuilt.info.end_time) == (
            (old.info.status, old.info.start_time, old.info.end_time)
        )
        for metric in old.data.metrics:
            assert points(new, rebuilt, metric) == points(uri, old, metric), metric


def test_sync_without_a_journal(uri: str) -> None:
    for name in ("tracked", "../tracked"):
        with pytest.raises(UserError, match="no journal of a study"):
            sync(name, uri)


# Nothing stops a study


def test_callers_never_wait_for_mlflow(uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, apply = threading.Event(), MlflowWriter.apply

    def stuck(self: MlflowWriter, events: Any) -> None:
        assert gate.wait(60)
        apply(self, events)

    monkeypatch.setattr(MlflowWriter, "apply", stuck)
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    assert tracker.flush(timeout_s=0.1) == 6
    gate.set()
    assert tracker.flush() == 0
    tracker.close("finished")
    assert runs_of(uri)["a"].info.status == "FINISHED"


@pytest.mark.parametrize("most", [1, 2, 3, 5, 2000])
def test_epochs_that_wait_take_few_calls_and_none_is_lost(
    most: int, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.background._MOST_AT_ONCE", most)
    gate, apply, calls = threading.Event(), MlflowWriter.apply, list[list[tuple[str, str, object]]]()

    def stuck(self: MlflowWriter, events: Any) -> None:
        assert gate.wait(60)
        calls.append([(event.kind, event.trial, event.data.get("epoch")) for event in events])
        apply(self, events)

    monkeypatch.setattr(MlflowWriter, "apply", stuck)
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of())
    for trial in "ab":
        tracker.start(trial_of(trial))
    for epoch in (1, 2, 3):
        for trial in "ab":
            tracker.log(trial, record_of(epoch))
    gate.set()
    tracker.close("finished")
    if most == 2000:
        assert [("log", "a", 1), ("log", "a", 2), ("log", "a", 3)] in calls
        assert [kind for [(kind, *_), *_] in calls] == ["open", *2 * ["start", "log", "finish"], "close"]
    for trial in "ab":
        assert [step for step, _ in points(uri, runs_of(uri)[trial], "score")] == [1, 2, 3]
    assert sync("tracked", uri) == (0, 0)


def test_what_goes_wrong_in_tracking_is_told_once_and_not_raised(tracker: MlflowTracker, notices: Notices) -> None:
    tracker.log("never-started", record_of(1))
    for _ in range(2):
        tracker.finish("a", None)  # type: ignore[arg-type]
    assert [notice.partition(":")[0] for notice in notices] == ["Tracking failed (finish)"]
    tracker.close("finished")
    tracker.start(trial_of("a"))
    assert "not open" in notices[-1]


def test_an_event_that_mlflow_refuses_is_skipped_and_kept(
    uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, wait = MlflowWriter.apply, "study.background._FIRST_WAIT_S"

    def picky(self: MlflowWriter, events: Any) -> None:
        if any(event.data.get("epoch") == 2 for event in events):
            raise ValueError("no even numbers")
        apply(self, events)

    with monkeypatch.context() as patch:
        patch.setattr(wait, 0.01)
        patch.setattr(MlflowWriter, "apply", picky)
        tracker = MlflowTracker(uri, notify=notices)
        tracker.open(study_of())
        run_one(tracker, trial_of("a"))
        tracker.close("finished")
    assert len(notices) == 1
    assert "refused 'log' of a (ValueError: no even numbers)" in notices[0]
    assert [step for step, _ in points(uri, runs_of(uri)["a"], "score")] == [1, 3]
    assert sync("tracked", uri) == (1, 0)
    assert [step for step, _ in points(uri, runs_of(uri)["a"], "score")] == [1, 2, 3]


def test_the_cost_so_far_is_kept_with_the_study_while_it_runs(uri: str, notices: Notices) -> None:
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of(resources={"gpus": 0.5}))
    for trial in "ab":
        run_one(tracker, trial_of(trial))
    assert tracker.flush() == 0
    metrics = runs_of(uri)["study"].data.metrics
    assert metrics["trial_s"] == 2 * 12.5
    assert metrics["gpu_hours"] == pytest.approx(12.5 / 3600)
    tracker.close("finished")


def test_warnings_of_a_trial_are_kept_with_it(tracker: MlflowTracker, uri: str, tmp_path: Path) -> None:
    run_one(tracker, trial_of("a"), warnings=("mgda missed its condition", "No checkpoint can be written"))
    tracker.close("finished")
    text = artifact(uri, runs_of(uri)["a"], "warnings.txt", tmp_path).decode()
    assert text.splitlines() == ["mgda missed its condition", "No checkpoint can be written"]


def test_a_full_disk_is_an_error_and_what_it_lost_can_be_told_again(
    tracker: MlflowTracker, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.start(trial_of("a"))
    tracker.log("a", record_of(1))
    with monkeypatch.context() as patch:
        patch.setattr("study.journal.os.write", lambda *_: 0)
        with pytest.raises(OSError, match="No space left on device"):
            tracker.log("a", record_of(2))
        tracker.close("failed")
    runs = runs_of(uri)
    assert [step for step, _ in points(uri, runs["a"], "score")] == [1]
    assert {runs[key].info.status for key in runs} == {"KILLED", "FAILED"}  # none is left running
    tracker.open(study_of(), resume=True)
    tracker.start(trial_of("a"))
    for epoch in (1, 2, 3):
        tracker.log("a", record_of(epoch))
    tracker.finish("a", result_of("a"))
    tracker.close("finished")
    assert [step for step, _ in points(uri, runs_of(uri)["a"], "score")] == [1, 2, 3]
    assert notices == []


def test_a_parent_run_that_someone_deletes_is_taken_out_of_the_bin(
    tracker: MlflowTracker, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.background._FIRST_WAIT_S", 0.01)
    run_one(tracker, trial_of("a"))
    tracker.flush()
    MlflowClient(uri).delete_run(runs_of(uri)["study"].info.run_id)
    tracker.artifact("final.csv", "x")
    run_one(tracker, trial_of("b"))
    tracker.close("finished")
    runs = runs_of(uri)
    assert set(runs) == {"study", "a", "b"}
    assert {runs[trial].data.tags["mlflow.parentRunId"] for trial in "ab"} == {runs["study"].info.run_id}
    assert notices == []


def test_a_gap_in_the_journal_costs_only_what_is_in_it(
    uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.background._FIRST_WAIT_S", 0.01)
    journal = Journal(study_folder("tracked"))
    journal.append("lost", "artifact", data={"name": "x", "text": "y"})
    journal.close()
    tracker = MlflowTracker(uri, notify=notices)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    assert runs_of(uri)["a"].info.status == "FINISHED"
    assert len(notices) == 1
    assert "lacks the beginning of the study's run lost" in notices[0]


def test_two_processes_cannot_track_one_study(tracker: MlflowTracker, uri: str) -> None:
    with pytest.raises(UserError, match="Another process is running the study 'tracked'"):
        MlflowTracker(uri).open(study_of())


def test_a_store_that_is_down_from_the_start(uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.background._DOWN_GRACE_S", 0.5)
    tracker = MlflowTracker(f"http://127.0.0.1:{free_port()}", notify=notices)
    tracker.open(study_of())
    run_one(tracker, trial_of("a"))
    wait_for(lambda: notices)
    assert tracker.close("finished") == 7
    assert tracker.close("finished") == 0
    assert "does not answer (connection refused)" in notices[0]
    assert "Training goes on" in notices[0]
    assert notices[1].startswith("7 events are not in MLflow yet")
    assert "study sync tracked" in notices[1]
    assert len(notices) == 2
    assert "--tracking-uri http://127.0.0.1:" in notices[1]
    assert sync("tracked", uri, notify=notices) == (0, 0)
    assert "'tracked' was not run for sqlite:///" in notices[2]
    assert sync("tracked", uri, everything=True) == (7, 0)
    assert runs_of(uri)["a"].info.status == "FINISHED"


def test_memory_tracker_holds_what_it_is_told() -> None:
    tracker = MemoryTracker()
    tracker.open(study_of())
    for _ in range(2):
        run_one(tracker, trial_of("a"))
    tracker.artifact("x", "y")
    assert tracker.close("finished") == 0
    assert tracker.records["a"] == [record_of(epoch) for epoch in (1, 2, 3)]
    assert (tracker.results["a"], tracker.status, tracker.artifacts) == (result_of("a"), "finished", {"x": "y"})
    tracker.open(study_of())
    assert tracker.trials == {}


# Real processes


def test_importing_the_tracker_does_not_import_mlflow() -> None:
    script = (
        "import sys, study.mlflow_tracker, study.results, study.sync; print({'mlflow', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


DRIVER = """
import sys
sys.path[:0] = sys.argv[1:2]
from test_tracking import MlflowTracker, record_of, result_of, study_of, trial_of
tracker = MlflowTracker(sys.argv[2])
tracker.open(study_of(), resume=True)
print("open", flush=True)
for n in range(6):
    tracker.start(trial_of(f"t{n}"))
    for epoch in range(1, 4):
        tracker.log(f"t{n}", record_of(epoch))
        print(n, epoch, flush=True)
    tracker.finish(f"t{n}", result_of(f"t{n}"))
    if n == int(sys.argv[3]):
        tracker.flush(0.3)
        sys.stdin.read()
tracker.close("finished")
"""


def driver(uri: str, stop_after: int, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", DRIVER, str(Path(__file__).parent), uri, str(stop_after)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    helpers = str(Path(__file__).parents[1] / "helpers")
    path = os.pathsep.join(filter(None, [str(Path.cwd()), helpers, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(command, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": path}, **pipes)


@pytest.mark.slow
def test_a_driver_killed_and_resumed_loses_and_doubles_nothing(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    with driver(uri, 3, folder) as process:
        assert process.stdout is not None
        assert any(line == "3 3\n" for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    with driver(uri, -1, folder) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "open\n" + "".join(f"{n} {epoch}\n" for n in range(6) for epoch in (1, 2, 3))  # and no chatter
    assert list(folder.iterdir()) == []
    runs = runs_of(uri)
    assert set(runs) == {"study", *(f"t{n}" for n in range(6))}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for n in range(6):
        assert [step for step, _ in points(uri, runs[f"t{n}"], "score")] == [1, 2, 3]


@pytest.mark.slow
def test_a_server_killed_and_restarted_loses_and_doubles_nothing(
    uri: str, notices: Notices, tmp_path: Path, empty_store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_store, tmp_path / "server.db")
    server = MlflowServer(tmp_path)
    tracker = MlflowTracker(server.uri, notify=notices)
    try:
        tracker.open(study_of(), space_hash="space")
        run_one(tracker, trial_of("before"))
        tracker.start(trial_of("amid"))
        for epoch in range(1, 40):
            tracker.log("amid", record_of(epoch))
        wait_for(lambda: tracker.flush(0) < 30)
        server.kill()
        for epoch in range(40, 50):
            tracker.log("amid", record_of(epoch))
        tracker.finish("amid", result_of("amid", 49))
        run_one(tracker, trial_of("while-down"))
        wait_for(lambda: notices)
        server.start()
        tracker.close("finished", timeout_s=60)
        assert len(notices) == 2
        assert "Training goes on" in notices[0]
        assert notices[1].startswith("MLflow is back")
        served = server.uri
        runs = runs_of(served)
        assert {key: run.info.status for key, run in runs.items()} == dict.fromkeys(
            ("study", "before", "amid", "while-down"), "FINISHED"
        )
        assert [step for step, _ in points(served, runs["amid"], "score")] == list(range(1, 50))
        table = pd.read_parquet(io.BytesIO(artifact(served, runs["amid"], "epochs.parquet", tmp_path)))
        assert len(table) == 49 * TASKS
        assert [found.trial for found in results.best("tracked", served)] == ["amid"]
        assert results.finished("tracked", served)["before"] == result_of("before")
        assert not (tmp_path / "artifacts").exists()  # a server keeps artifacts where it wants
        assert capfd.readouterr() == ("", "")
    finally:
        server.kill()
