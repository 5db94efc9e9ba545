"""Runs are found or made once, whatever becomes of the answers."""

from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from records import trial_of
from trackers import Notices, opened, run_one, runs_of, steps

from study.tracking import JournalTracker


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
    tracker = opened(uri, notices=notices)
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    assert set(runs_of(uri)) == {"study", "a"}
    assert steps(uri, "a") == [1, 2, 3]
    assert notices == []


def test_runs_made_twice_by_an_http_retry_become_one(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MlflowClient.create_run

    def twice(*args: Any, **kwargs: Any) -> Run:
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", twice)
    monkeypatch.setattr("study.tracking.mlflow_runs._LATE_S", -1.0)
    tracker = opened(uri)
    tracker.flush()
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    opened(uri, study_run=tracker.study_run).close("finished")
    assert set(runs_of(uri)) == {"study", "a"}


def test_a_parent_run_that_someone_deletes_is_taken_out_of_the_bin(
    tracker: JournalTracker, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tracking.sender._FIRST_WAIT_S", 0.01)
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
