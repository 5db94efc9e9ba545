"""Progress: a plain line per trial where output is no terminal, a live line where it is."""

import io
import time

from records import GOOD
from rich.console import Console

from go4align.training import EpochRecord, Evaluation, StepSummary
from study.spec.study_file import StudyFile
from study.stages.progress import StudyProgress
from study.trials.records import Trial, TrialResult

TRIAL = Trial("search-ls-000", "search", StudyFile.model_validate(GOOD).configuration("ls"), 0)
RECORD = EpochRecord(1, 0.01, 0.1, StepSummary((1.0,), (1.0,)), Evaluation((1.0,), {}), 12.5, 12.5)


def drive(console: Console, score_name: str | None) -> None:
    with StudyProgress("search", 2, console, score_name) as progress:
        progress.start(TRIAL)
        progress.log(TRIAL.id, RECORD)
        progress.finish(TRIAL.id, TrialResult(TRIAL.id, "finished", 12.5, epochs=2, seconds=0.3))
        progress.start(TRIAL)
        if console.is_terminal:
            time.sleep(0.3)  # the live line is drawn ten times a second
        progress.finish("search-ls-001", TrialResult("search-ls-001", "failed", reason="epoch 1: loss [x] is nan"))


def test_plain_lines_say_done_running_best_and_failures() -> None:
    out = io.StringIO()
    drive(Console(file=out, width=60), "Δm %")
    text = out.getvalue()
    assert "search: 2 trials" in text
    assert "1/2 search-ls-000 finished after 2 epochs in 0.3 s, Δm % 12.5; 0 running" in text
    assert "best Δm % 12.5 (search-ls-000)" in text
    assert "search-ls-001 failed: epoch 1: loss [x] is nan" in text
    assert "\x1b" not in text


def test_a_terminal_gets_a_live_line() -> None:
    out = io.StringIO()
    drive(Console(file=out, force_terminal=True, width=120), "Δm %")
    assert "1/2" in out.getvalue()
    assert "best Δm % 12.5" in out.getvalue()


def test_scores_that_cannot_be_compared_are_not() -> None:
    out = io.StringIO()
    drive(Console(file=out, width=120), None)
    assert "best" not in out.getvalue()
