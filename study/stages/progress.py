"""The progress of a study: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from go4align.training import EpochRecord
from study.tracking import Tracker
from study.trials.records import Trial, TrialResult


def notices(console: Console | None) -> Callable[[str], None]:
    """What prints a line as it is, wrapped by the terminal alone; nothing where there is no console."""

    def say(text: str) -> None:
        if console:
            console.print(text, markup=False, soft_wrap=True)

    return say


class StudyProgress(Tracker):
    """Shows what it is told of trials: done / all, running, failed, best so far, time left.

    Args:
        title: what runs, for example "search".
        total: how many trials there will be at most.
        console: where to write; a live bar on a terminal, a line per ended trial otherwise.
        score_name: what trials are compared on, for example "Delta m %"; None where scores cannot be compared.
        done: how many trials earlier sessions have done.
    """

    def __init__(self, title: str, total: int, console: Console, score_name: str | None, *, done: int = 0) -> None:
        self._title = title
        self._total = total
        self._console = console
        self._line = notices(console)
        self._score_name = score_name
        self._running: dict[str, Trial] = {}
        self._done = self._before = done
        self._failed = 0
        self._best: tuple[float, str] | None = None
        self._started = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("{task.fields[detail]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(title, total=total, completed=done, detail="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        else:
            done = f", {self._done} of them done" if self._done else ""
            self._console.print(f"{self._title}: {self._total} trials{done}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        if kind is None:
            seconds = time.monotonic() - self._started
            self._console.print(f"{self._title}: {self._done} trials in {_duration(seconds)}{self._failures()}")

    def start(self, trial: Trial) -> None:
        if trial.id in self._running:
            self._line(f"  {trial.id} lost its worker or its node; it goes on from its last epoch")
        self._running[trial.id] = trial
        self._refresh()

    def log(self, trial_id: str, record: EpochRecord) -> None:
        self._note(record.best, trial_id)
        self._refresh()

    def finish(self, trial_id: str, result: TrialResult) -> None:
        self._running.pop(trial_id, None)
        self._done += 1
        self._failed += result.status == "failed"
        if result.status == "failed":
            self._line(f"  {trial_id} failed: {result.reason}")
        elif not self._bar:
            score = f", {self._score_name} {result.score:.4g}" if self._score_name and result.score is not None else ""
            self._line(
                f"  {self._done}/{self._total} {trial_id} {result.status} after {result.epochs} epochs in "
                f"{result.seconds:.1f} s{score}; {self._detail()}"
            )
        for warning in result.warnings:
            self._line(f"  {trial_id} warned: {warning}")
        self._refresh()

    def _note(self, score: float, trial_id: str) -> None:
        if self._score_name and (self._best is None or score < self._best[0]):
            self._best = (score, trial_id)

    def _refresh(self) -> None:
        if self._bar:
            self._bar.update(self._task, completed=self._done, detail=self._detail())

    def _detail(self) -> str:
        parts = [f"{len(self._running)} running"]
        if self._best:
            parts.append(f"best {self._score_name} {self._best[0]:.4g} ({self._best[1]})")
        if self._done > self._before:
            each = (time.monotonic() - self._started) / (self._done - self._before)
            left = each * (self._total - self._done)
            parts.append(f"about {_duration(left)} left")
        return ", ".join(parts) + self._failures()

    def _failures(self) -> str:
        return f", {self._failed} failed" if self._failed else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
