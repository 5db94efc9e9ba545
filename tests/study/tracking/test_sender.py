"""A store that is slow, down or picky holds nobody up, and gets everything in the end."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from records import record_of, result_of, trial_of
from servers import MlflowServer
from studies import wait_for
from trackers import Notices, opened, run_one, runs_of, steps

from study.home import study_folder
from study.tracking import sync_journal
from study.tracking.journal import Journal
from study.tracking.mlflow_writer import MlflowWriter


def test_callers_never_wait_for_mlflow(uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, apply = threading.Event(), MlflowWriter.apply

    def stuck(self: MlflowWriter, events: Any) -> None:
        assert gate.wait(60)
        apply(self, events)

    monkeypatch.setattr(MlflowWriter, "apply", stuck)
    tracker = opened(uri, notices=notices)
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
    monkeypatch.setattr("study.tracking.sender._MOST_AT_ONCE", most)
    gate, apply, calls = threading.Event(), MlflowWriter.apply, list[list[tuple[str, str, object]]]()

    def stuck(self: MlflowWriter, events: Any) -> None:
        assert gate.wait(60)
        calls.append([(event.kind, event.trial, event.data.get("epoch")) for event in events])
        apply(self, events)

    monkeypatch.setattr(MlflowWriter, "apply", stuck)
    tracker = opened(uri, notices=notices)
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
        assert steps(uri, trial) == [1, 2, 3]
    assert sync_journal("tracked", uri, notify=print) == (0, 0)


def test_an_event_that_mlflow_refuses_is_skipped_and_kept(
    uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, wait = MlflowWriter.apply, "study.tracking.sender._FIRST_WAIT_S"

    def picky(self: MlflowWriter, events: Any) -> None:
        if any(event.data.get("epoch") == 2 for event in events):
            raise ValueError("no even numbers")
        apply(self, events)

    with monkeypatch.context() as patch:
        patch.setattr(wait, 0.01)
        patch.setattr(MlflowWriter, "apply", picky)
        tracker = opened(uri, notices=notices)
        run_one(tracker, trial_of("a"))
        tracker.close("finished")
    assert len(notices) == 1
    assert "refused 'log' of a (ValueError: no even numbers)" in notices[0]
    assert steps(uri, "a") == [1, 3]
    assert sync_journal("tracked", uri, notify=print) == (1, 0)
    assert steps(uri, "a") == [1, 2, 3]


def test_a_gap_in_the_journal_costs_only_what_is_in_it(
    uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tracking.sender._FIRST_WAIT_S", 0.01)
    journal = Journal(study_folder("tracked"))
    journal.append("lost", "artifact", data={"name": "x", "text": "y"})
    journal.close()
    tracker = opened(uri, notices=notices)
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    assert runs_of(uri)["a"].info.status == "FINISHED"
    assert len(notices) == 1
    assert "lacks the beginning of the study's run lost" in notices[0]


@pytest.mark.slow
def test_a_server_killed_and_restarted_loses_and_doubles_nothing(
    uri: str, notices: Notices, tmp_path: Path, empty_store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_store, tmp_path / "server.db")
    server = MlflowServer(tmp_path)
    try:
        tracker = opened(server.uri, notices=notices)
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
        statuses = {key: run.info.status for key, run in runs_of(served).items()}
        assert statuses == dict.fromkeys(("study", "before", "amid", "while-down"), "FINISHED")
        assert steps(served, "amid") == list(range(1, 50))
        assert steps(served, "before") == steps(served, "while-down") == [1, 2, 3]
        assert not (tmp_path / "artifacts").exists()  # a server keeps artifacts where it wants
        assert capfd.readouterr() == ("", "")
    finally:
        server.kill()


def test_a_driver_tells_that_it_lives_and_how_far_it_is_behind(
    uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a period, in a call of its own, as long as the study is open; `study sync` is no sign of life."""
    monkeypatch.setattr("study.tracking.sender._BEAT_S", 0.05)
    beats, beat = list[int](), MlflowWriter.beat

    def counted(self: MlflowWriter, backlog: int) -> None:
        beats.append(backlog)
        beat(self, backlog)

    monkeypatch.setattr(MlflowWriter, "beat", counted)
    tracker = opened(uri, notices=notices)
    wait_for(lambda: len(beats) > 3)
    tracker.start(trial_of("a"))
    tracker.close("interrupted")
    told = len(beats)
    assert set(beats) == {0} and not notices
    assert sync_journal("tracked", uri, rebuild=True, notify=notices)[1] == 0
    assert len(beats) == told
