"""Following a study by its store: once, until it ends, and over a store that is away for a while."""

import io
from pathlib import Path

import pytest
from records import record_of
from rich.console import Console
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

from go4align.errors import UserError
from study.cli import watching
from study.tracking import JournalTracker


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    return store_in(tmp_path, empty_store)


@pytest.fixture
def running(uri: str) -> JournalTracker:
    """A study with one trial done and one that runs."""
    tracker = opened(uri, small_study("alpha"))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", 5.0))
    tracker.start(small_trial("go4align-0"))
    tracker.log("go4align-0", record_of(1))
    tracker.flush()
    return tracker


def test_once_says_how_far_it_is(uri: str, running: JournalTracker) -> None:
    out = io.StringIO()
    assert watching.follow("alpha", uri, 10, once=True, console=Console(file=out, width=200)) == "running"
    assert "search: 1 of 4 trials ended, 1 running" in out.getvalue()
    assert "go4align-0 epoch 1 of 3 -0.5" in out.getvalue()
    terminal = io.StringIO()
    console = Console(file=terminal, width=100, force_terminal=True, color_system=None)
    watching.follow("alpha", uri, 10, once=True, console=console)
    assert "best Δm %" in terminal.getvalue() and "epoch 1 of 3" in terminal.getvalue()
    running.close("interrupted")


def test_it_goes_on_until_the_study_ends_also_where_the_store_is_away(
    uri: str, running: JournalTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            store.rename(away)
        elif looks == 2:
            away.rename(store)
            running.finish("go4align-0", whole_result("go4align-0", -1.0))
            running.close("finished")

    monkeypatch.setattr(watching.time, "sleep", sleep)
    out = io.StringIO()
    assert watching.follow("alpha", uri, 10, once=False, console=Console(file=out, width=200)) == "finished"
    lines = out.getvalue().splitlines()
    assert len(lines) == 3, "no more than a line a minute while nothing ends"
    assert "There is no tracking store at" in lines[1]
    assert lines[2].startswith("search: 2 of 4 trials ended, 0 running")


def test_an_unknown_study_is_one_line(uri: str, running: JournalTracker) -> None:
    with pytest.raises(UserError, match="Unknown study 'alfa'. Did you mean 'alpha'"):
        watching.follow("alfa", uri, 10, once=True, console=Console(file=io.StringIO()))
    running.close("interrupted")
