"""How far a study is, from a store that a running study writes to."""

from pathlib import Path

import pytest
from records import record_of
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

from study.results import MethodOutlook, Outlook, RunningTrial, open_study, outlook_of


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    return store_in(tmp_path, empty_store)


def test_what_is_done_runs_and_failed_by_method_and_how_far_running_trials_are(uri: str) -> None:
    tracker = opened(uri, small_study("alpha"))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", 5.0))
    end(tracker, small_trial("ls-1"), whole_result("ls-1", 7.0, status="stopped"))
    end(tracker, small_trial("go4align-0"), whole_result("go4align-0", None, status="failed", reason="nan"))
    tracker.start(small_trial("go4align-1"))
    for epoch in (1, 2):
        tracker.log("go4align-1", record_of(epoch))
    assert tracker.flush() == 0
    stored = open_study("alpha", uri)
    found = outlook_of(stored)
    assert (found.stage, found.ended, found.total) == ("search", 3, 4)
    assert "no sign of life" not in found.tracking, "it may be some events behind, as of the driver's last sign"
    assert found.methods == (
        MethodOutlook("ls", done=1, stopped=1, best=5.0),
        MethodOutlook("go4align", running=1, failed=1, best=-1.0),
    )
    [running] = found.running
    assert (running.trial, running.epoch, running.epochs, running.score) == ("go4align-1", 2, 3, -1.0)
    assert found.trial_s == 3600.0
    assert found.left_s == pytest.approx(3600 / 3)
    tracker.log("go4align-1", record_of(3))
    tracker.close("interrupted")
    stored.refresh()
    assert outlook_of(stored).running == ()


def test_reference_runs_have_no_scores_that_compare(uri: str) -> None:
    tracker = opened(uri, small_study("beta"))
    trial = small_trial("ls-0", stage="reference")
    tracker.start(trial)
    tracker.log(trial.id, record_of(1))
    tracker.flush()
    found = outlook_of(open_study("beta", uri))
    assert found.stage == "reference" and found.total is None and found.left_s is None
    assert found.methods[0].best is None and found.running[0].score is None
    tracker.close("interrupted")


def test_time_left_comes_from_trials_or_before_any_has_ended_from_epochs() -> None:
    running = (RunningTrial("a", 5, 10, 50.0), RunningTrial("b", 0, 10, 1.0))
    assert Outlook("search", 0, 4, (), running).left_s == pytest.approx(100 * (2 + 0.5 + 1) / 2)
    assert Outlook("search", 2, 4, (), running, trial_s=80.0).left_s == pytest.approx(80 * 1.5 / 2)
    assert Outlook("search", 0, 4, (), running[1:]).left_s is None
    assert Outlook("search", 4, 4, (), (), trial_s=80.0).left_s is None
