"""Single-task runs are found by all that decides them, in any study of the store."""

from pathlib import Path

import pytest
from stored import end, reference_result, reference_trial, small_study, store_in
from trackers import opened

from study.store.client import connect
from study.store.references import find_references, references_if_reached
from study.trials.records import Trial
from study.trials.reference import reference_key


def key_of(trial: Trial, seed: int = 1) -> str:
    return reference_key(trial.configuration, seed)


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    for name, value in (("older", 1.0), ("newer", 2.0)):
        tracker = opened(uri, small_study(name))
        end(tracker, reference_trial(0), reference_result(0, value))
        tracker.close("finished")
    return uri


def test_the_oldest_complete_run_of_a_key_counts(uri: str) -> None:
    key = key_of(reference_trial(0))
    assert find_references(connect(uri), [key]) == {key: {"val/task0/mae": 1.0, "test/task0/mae": 1.0}}


def test_another_task_budget_or_seed_is_not_found(uri: str) -> None:
    others = [key_of(reference_trial(0), 2), key_of(reference_trial(1)), key_of(reference_trial(0, epochs=4))]
    assert find_references(connect(uri), others) == {}


def test_a_store_that_does_not_answer_has_none_and_that_is_told() -> None:
    told: list[str] = []
    assert references_if_reached(["x"], "http://127.0.0.1:9", notify=told.append) == {}
    assert "does not answer" in told[0]
