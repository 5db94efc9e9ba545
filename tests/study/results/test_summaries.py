"""`study ls`: each study at a glance."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from mlflow.entities import Run
from rich.console import Console
from rich.table import Table
from stored import end, reference_result, reference_trial, small_study, small_trial, store_in, whole_result
from studies import wait_for
from trackers import opened

from study.cli.tables import studies_table
from study.results import studies
from study.store.client import connect
from study.store.keys import BACKLOG, HEARTBEAT
from study.store.queries import read_study


def test_studies_at_a_glance(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    end(tracker, reference_trial(0), reference_result(0))
    for number, score in enumerate((5.0, 4.0)):
        end(tracker, small_trial(f"ls-{number}"), whole_result(f"ls-{number}", score))
    end(tracker, small_trial("ls-2"), whole_result("ls-2", -50.0, status="stopped"))
    end(tracker, small_trial("ls-3"), whole_result("ls-3", None, status="failed"))
    end(tracker, small_trial("go4align-0"), whole_result("go4align-0", -2.0))
    end(tracker, small_trial("go4align-9", stage="final"), whole_result("go4align-9", -70.0))
    tracker.close("finished")
    tracker = opened(uri, small_study("beta"))
    tracker.start(small_trial("ls-0"))
    tracker.close("interrupted")
    beta, alpha = studies(uri)
    assert (alpha.name, alpha.status, beta.name, beta.status) == ("alpha", "finished", "beta", "interrupted")
    assert alpha.trials == {
        "reference": {"finished": 1},
        "search": {"finished": 3, "stopped": 1, "failed": 1},
        "final": {"finished": 1},
    }
    assert beta.trials == {"search": {"interrupted": 1}}
    assert list(alpha.best.items()) == [("go4align", -2.0), ("ls", 4.0)]
    assert (alpha.trial_hours, alpha.gpu_hours, beta.trial_hours) == (7.0, 3.5, 0.0)
    assert 0 <= alpha.wall_hours < 0.1
    assert (datetime.now(UTC) - alpha.created).total_seconds() < 600


def test_a_driver_that_is_gone_is_not_shown_as_running(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    wait_for(lambda: studies(uri) and HEARTBEAT in parent_of("alpha", uri).data.tags)
    assert (studies(uri)[0].silent_since, studies(uri)[0].backlog) == (None, 0)
    run = parent_of("alpha", uri).info.run_id
    for ago_s, tag, silent in ((240, "7", False), (360, "7", True), (10**8, "x", True)):
        last = datetime.now(UTC) - timedelta(seconds=ago_s)
        connect(uri).set_tag(run, HEARTBEAT, str(int(1000 * last.timestamp())))
        connect(uri).set_tag(run, BACKLOG, tag)
        [found] = studies(uri)
        assert found.status == "running" and found.backlog == (7 if tag == "7" else 0)
        assert (found.silent_since is not None) == silent
        shown = rendered(studies_table([found]))
        assert (f"no sign of life since {last:%H:%M}" in shown) == (ago_s == 360)
        assert ("7 events behind" in shown) == (ago_s == 240)
        assert (f"since {last:%Y-%m-%d %H:%M}" in shown) == (ago_s == 10**8)
    tracker.close("finished")
    assert studies(uri)[0].silent_since is None


def parent_of(name: str, uri: str) -> Run:
    return read_study(connect(uri), name).parent


def rendered(table: Table) -> str:
    out = StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()
