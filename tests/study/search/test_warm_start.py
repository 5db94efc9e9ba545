"""Trials that another study lends: of the same benchmark and space only, however they are written."""

from pathlib import Path
from typing import Any

import pytest
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

from go4align import UserError
from go4align.benchmarks.registry import benchmark_options
from study.search import lent_trials
from study.spec.search_space import SearchSpace
from study.spec.sections import digest
from study.spec.study_file import StudyFile

LR = {"type": "float", "low": 0.001, "high": 0.5, "log": True}
SPACE = SearchSpace.model_validate({"benchmark": "toy", "common": {"lr": LR}, "methods": {"ls": {}}})


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with the study `lender`."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("lender"), space_hash=digest(SPACE))
    for number, score in enumerate((5.0, 4.0)):
        end(tracker, small_trial(f"ls-{number}"), whole_result(f"ls-{number}", score))
    tracker.close("finished")
    return uri


def borrower(changes: dict[str, Any] | None = None, **benchmark: object) -> StudyFile:
    study = small_study("borrower").model_dump() | {"benchmark": {"name": "toy", "n_tasks": 2, **benchmark}}
    return StudyFile.model_validate(study | (changes or {}))


def test_defaults_that_are_written_out_are_the_same_benchmark(uri: str) -> None:
    written = benchmark_options("toy") | {"n_tasks": 2}
    lent = lent_trials("lender", borrower(**written), SPACE, uri)
    assert [(trial.value, trial.params) for trial in lent["ls"]] == [(4.0, {"lr": 1 / 3}), (5.0, {"lr": 1 / 3})]


def test_scores_of_another_kind_are_refused(uri: str) -> None:
    watched = {"training": {"epochs": 2, "batch_size": 4, "lr": 0.01, "selection": {"name": "best", "metric": "loss"}}}
    with pytest.raises(UserError, match="whose scores are loss; those of 'lender' are delta_m"):
        lent_trials("lender", borrower(watched), SPACE, uri)
    with pytest.raises(UserError, match="same reference of Delta m, {'method': 'ls'}; that of 'lender' is measured"):
        lent_trials("lender", borrower({"reference": {"method": "ls"}}), SPACE, uri)


def test_another_benchmark_or_space_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match="needs a study of the same benchmark and options; 'lender' has others"):
        lent_trials("lender", borrower(train_size=99), SPACE, uri)
    wider = SearchSpace.model_validate(
        {"benchmark": "toy", "common": {"lr": {**LR, "high": 0.9}}, "methods": {"ls": {}}}
    )
    with pytest.raises(UserError, match="over the same search space; 'lender' searched another"):
        lent_trials("lender", borrower(), wider, uri)
