"""Timing every method of a study, in processes that really train."""

import io
from pathlib import Path
from typing import Any

import pytest
from made_study import write_study
from rich.console import Console
from stored import store_in

from go4align.errors import RunFailedError, UserError
from study import api
from study.report import build_report
from study.results import open_study
from study.spec.study_file import StudyFile
from study.store.client import connect
from study.trials.timed import TimedTraining

VALUES: dict[str, Any] = {
    "name": "timed",
    "benchmark": {"name": "toy", "train_size": 128},
    "training": {"epochs": 2, "batch_size": 64, "lr": 5.0e-3, "schedule": "cosine"},
    "methods": ["ls", "go4align"],
    "search_space": "toy",
    "budget": {"trials": 1},
}


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    write_study(StudyFile.model_validate(VALUES), uri, tmp_path, finals=2)
    return uri


@pytest.mark.slow
def test_methods_take_turns_and_the_report_has_their_seconds(uri: str) -> None:
    out = io.StringIO()
    times = api.time_methods("timed", epochs=3, tracking_uri=uri, console=Console(file=out, width=200))
    assert {one.method for one in times} == {"ls", "go4align"}
    assert all(one.epochs == 3 and one.against == "ls" and one.epoch_s > 0 for one in times)
    assert all(one.low <= one.ratio <= one.high for one in times)
    assert all(one.host_mib is not None and one.host_mib > 50 for one in times)
    assert [line[:5] for line in out.getvalue().splitlines()[1:]] == ["  1/3", "  2/3", "  3/3"]
    stored = open_study("timed", uri)
    assert stored.times == times
    section = next(section for section in build_report(stored).sections if section.key == "time")
    assert not section.sentences, "no caution: these seconds are comparable"
    connect(uri).set_tag(stored.run_id, "status", "running")
    with pytest.raises(UserError, match="'timed' is running: its trials would be measured"):
        api.time_methods("timed", tracking_uri=uri)


@pytest.mark.slow
def test_a_training_that_fails_is_one_line() -> None:
    training = VALUES["training"] | {"selection": "best"}
    changes = {"benchmark": {"name": "nyuv2"}, "search_space": "nyuv2", "training": training}
    study = StudyFile.model_validate(VALUES | changes)
    with (
        TimedTraining(study.configuration("ls"), 1) as training,
        pytest.raises(RunFailedError, match="'ls' cannot be timed: .*nyuv2") as caught,
    ):
        training.epoch()
    assert "\n" not in str(caught.value)
