"""`study sync`: what a store lacks goes there, and a lost one is built anew."""

import shutil
from pathlib import Path

import pytest
from records import trial_of
from servers import free_port
from studies import wait_for
from trackers import Notices, opened, points, run_one, runs_of

from go4align.errors import UserError
from study.tracking import JournalTracker
from study.tracking.sync import sync_journal


def sync(uri: str, *, rebuild: bool = False, notices: Notices | None = None) -> tuple[int, int]:
    notify = Notices() if notices is None else notices
    return sync_journal("tracked", uri, rebuild=rebuild, notify=notify)


def test_the_journal_rebuilds_a_lost_store(tracker: JournalTracker, uri: str, other_uri: str) -> None:
    run_one(tracker, trial_of("a"))
    run_one(tracker, trial_of("b"), 2, status="stopped")
    tracker.artifact("final.csv", "x")
    tracker.close("finished")
    assert sync(other_uri) == (0, 0)
    delivered, left = sync(other_uri, rebuild=True)
    assert (delivered > 8, left) == (True, 0)
    for repeat in (other_uri, uri):
        assert sync(repeat, rebuild=True) == (delivered, 0)
        assert sync(repeat) == (0, 0)
    old_runs, new_runs = runs_of(uri), runs_of(other_uri)
    assert set(old_runs) == set(new_runs) == {"study", "a", "b"}
    for key, old in old_runs.items():
        rebuilt = new_runs[key]
        assert rebuilt.data.metrics == old.data.metrics
        assert rebuilt.data.params == old.data.params
        assert (rebuilt.info.status, rebuilt.info.start_time, rebuilt.info.end_time) == (
            (old.info.status, old.info.start_time, old.info.end_time)
        )
        for metric in old.data.metrics:
            assert points(other_uri, rebuilt, metric) == points(uri, old, metric), metric


def test_sync_without_a_journal(uri: str) -> None:
    for name in ("tracked", "../tracked"):
        with pytest.raises(UserError, match="no journal of a study"):
            sync_journal(name, uri, notify=print)


def test_a_store_that_is_down_from_the_start(uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tracking.sender._DOWN_GRACE_S", 0.5)
    tracker = opened(f"http://127.0.0.1:{free_port()}", notices=notices)
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
    assert sync(uri, notices=notices) == (0, 0)
    assert "'tracked' was not run for sqlite:///" in notices[2]
    assert sync(uri, rebuild=True) == (7, 0)
    assert runs_of(uri)["a"].info.status == "FINISHED"


def test_runs_stay_in_the_store_they_were_made_for(uri: str, other_uri: str) -> None:
    study_runs: dict[str, str] = {}
    for store, trial in ((uri, "private"), (other_uri, "public"), (uri, "more")):
        tracker = opened(store, study_run=study_runs.get(store))
        study_runs[store] = tracker.study_run
        run_one(tracker, trial_of(trial))
        tracker.close("finished")
    assert set(runs_of(uri)) == {"study", "private", "more"}
    assert set(runs_of(other_uri)) == {"study", "public"}
    for store in (uri, other_uri):
        assert sync(store) == (0, 0)
    assert set(runs_of(other_uri)) == {"study", "public"}


def test_a_run_that_was_copied_and_resumed_elsewhere_is_whole_there(uri: str, other_uri: str) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    sync(other_uri, rebuild=True)
    for store, trial in ((uri, "b"), (other_uri, "c")):
        tracker = opened(store, study_run=tracker.study_run)
        run_one(tracker, trial_of(trial))
        tracker.close("finished")
    assert set(runs_of(other_uri)) == {"study", "a", "b", "c"}


def test_a_store_that_moved_without_what_it_had_gets_all_of_the_run(uri: str, other_uri: str) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.close("interrupted")
    tracker = opened(other_uri, study_run=tracker.study_run)
    run_one(tracker, trial_of("b"))
    tracker.close("finished")
    assert set(runs_of(other_uri)) == {"study", "a", "b"}
    assert sync(uri) == (0, 0)  # where it is kept no more


def test_a_store_that_was_lost_is_built_anew_where_it_was(uri: str, empty_store: Path) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    shutil.copy(empty_store, uri.removeprefix("sqlite:///"))
    assert sync(uri) == (0, 0)
    assert runs_of(uri) == {}
    assert sync(uri, rebuild=True) == (7, 0)
    assert set(runs_of(uri)) == {"study", "a"}
