"""Progress: a plain line per trial where output is no terminal, a live line where it is."""

import io
import time
from dataclasses import replace

import pytest
from records import GOOD
from rich.console import Console

from go4align.training import EpochRecord, Evaluation, StepSummary, Watched
from study.spec.study_file import StudyFile
from study.stages import progress
from study.stages.progress import StudyProgress
from study.trials.records import Trial, TrialResult

TRIAL = Trial("search-ls-000", "search", StudyFile.model_validate(GOOD).configuration("ls"), 0)
RECORD = EpochRecord(1, 0.01, 0.1, StepSummary((1.0,), (1.0,)), Evaluation((1.0,), {}), 12.5, 12.5)


def drive(console: Console, watched: Watched | None) -> None:
    with StudyProgress("search", 2, console, watched) as shown:
        shown.start(TRIAL)
        shown.log(TRIAL.id, RECORD)
        shown.finish(TRIAL.id, TrialResult(TRIAL.id, "finished", 12.5, epochs=2, seconds=0.3))
        shown.start(TRIAL)
        if console.is_terminal:
            shown.log(TRIAL.id, RECORD)
            time.sleep(1.2)  # the live view is drawn twice a second
        shown.finish("search-ls-001", TrialResult("search-ls-001", "failed", reason="epoch 1: loss [x] is nan"))


def test_plain_lines_say_done_running_best_and_failures() -> None:
    out = io.StringIO()
    drive(Console(file=out, width=60), Watched("Δm %"))
    text = out.getvalue()
    assert "search: 2 trials" in text
    assert "1/2 search-ls-000 finished after 2 epochs in 0.3 s, val Δm % 12.5; 0 running" in text
    assert "best val Δm % 12.5 (search-ls-000)" in text
    assert "search-ls-001 failed: epoch 1: loss [x] is nan" in text
    assert "\x1b" not in text


def test_a_terminal_gets_a_live_line() -> None:
    out = io.StringIO()
    drive(Console(file=out, force_terminal=True, width=120), Watched("Δm %"))
    text = out.getvalue()
    assert "1/2" in text and "search: 1 of 2 trials ended, 1 running" in text
    assert "best Δm %" in text and "12.5" in text
    assert "epoch 1 of 2" in text


def test_without_a_terminal_a_line_a_minute_says_how_far_long_trials_are(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    out = io.StringIO()
    with StudyProgress("search", 3, Console(file=out, width=200), Watched("Δm %", form=".1f")) as shown:
        shown.start(TRIAL)
        for epoch in range(1, 4):
            now += 40.0
            shown.log(TRIAL.id, replace(RECORD, epoch=epoch))
    told = [line for line in out.getvalue().splitlines() if "epoch" in line]
    assert told == ["  search: 0 of 3 trials ended, 1 running, about 3 min left; search-ls-000 epoch 2 of 2 12.5"]


def test_a_metric_that_is_higher_where_better_is_shown_as_it_is() -> None:
    out = io.StringIO()
    with StudyProgress("search", 1, Console(file=out, width=120), Watched("f1", higher_is_better=True)) as progress:
        progress.start(TRIAL)
        progress.log(TRIAL.id, replace(RECORD, best=-0.90874))
        progress.finish(TRIAL.id, TrialResult(TRIAL.id, "finished", -0.90874, epochs=2, seconds=0.3))
    assert "val f1 0.9087; 0 running, best val f1 0.9087 (search-ls-000)" in out.getvalue()


def test_scores_that_cannot_be_compared_are_not() -> None:
    out = io.StringIO()
    drive(Console(file=out, width=120), None)
    assert "best" not in out.getvalue()
