"""The progress of a study: a live view on a terminal, plain lines elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from go4align.training import EpochRecord, Watched
from study.results import MethodOutlook, Outlook, RunningTrial
from study.stages import outlook_view
from study.tracking import Tracker
from study.trials.records import Trial, TrialResult

_SILENCE_S = 60.0
"""Without a terminal a line is printed after so long in which no trial ended."""


def notices(console: Console | None) -> Callable[[str], None]:
    """What prints a line as it is, wrapped by the terminal alone; nothing where there is no console."""

    def say(text: str) -> None:
        if console:
            console.print(text, markup=False, soft_wrap=True)

    return say


class StudyProgress(Tracker):
    """Shows what it is told of trials: per method what is done, runs and failed, best so far, epochs, time left.

    Args:
        title: what runs, for example "search".
        total: how many trials there will be at most.
        console: where to write; a live view on a terminal, a line per ended trial otherwise, and one a minute while
            none ends.
        watched: what trials are compared on; None where scores cannot be compared.
        done: how many trials earlier sessions have done.
    """

    def __init__(self, title: str, total: int, console: Console, watched: Watched | None, *, done: int = 0) -> None:
        self._title = title
        self._total = total
        self._console = console
        self._line = notices(console)
        self._watched = watched
        self._lock = threading.RLock()  # the live view is drawn by a thread of its own
        self._counts: dict[str, Counter[str]] = {}
        self._bests: dict[str, float] = {}
        self._running: dict[str, tuple[Trial, float]] = {}
        self._epochs: dict[str, EpochRecord] = {}
        self._seconds: list[float] = []
        self._done = done
        self._failed = 0
        self._best: tuple[float, str] | None = None
        self._started = self._told = time.monotonic()
        self._live: Live | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            )  # fmt: skip
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task(title, total=total, completed=done)
            self._live = Live(console=console, transient=True, get_renderable=self._view, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            done = f", {self._done} of them done" if self._done else ""
            self._console.print(f"{self._title}: {self._total} trials{done}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
        if kind is None:
            seconds = time.monotonic() - self._started
            took = outlook_view.duration(seconds)
            self._console.print(f"{self._title}: {self._done} trials in {took}{self._failures()}")

    def start(self, trial: Trial) -> None:
        if trial.id in self._running:
            self._line(f"  {trial.id} lost its worker or its node; it goes on from its last epoch")
        with self._lock:
            self._running[trial.id] = trial, time.monotonic()
            self._counts.setdefault(trial.method, Counter())

    def log(self, trial_id: str, record: EpochRecord) -> None:
        with self._lock:
            self._epochs[trial_id] = record
            self._note(record.best, trial_id)
        if not self._live and time.monotonic() - self._told > _SILENCE_S:
            self._tell(f"  {outlook_view.line(self.outlook, self._watched)}")

    def finish(self, trial_id: str, result: TrialResult) -> None:
        with self._lock:
            begun = self._running.pop(trial_id, None)
            if begun:
                self._counts[begun[0].method][result.status] += 1
            self._epochs.pop(trial_id, None)
            self._done += 1
            self._failed += result.status == "failed"
            if result.status == "finished":
                self._seconds.append(result.seconds)
        if result.status == "failed":
            self._tell(f"  {trial_id} failed: {result.reason}")
        elif not self._live:
            score = f", {self._shown(result.score)}" if self._watched and result.score is not None else ""
            self._tell(
                f"  {self._done}/{self._total} {trial_id} {result.status} after {result.epochs} epochs in "
                f"{result.seconds:.1f} s{score}; {self._detail()}"
            )
        for warning in result.warnings:
            self._line(f"  {trial_id} warned: {warning}")

    @property
    def outlook(self) -> Outlook:
        """How far it is."""
        with self._lock:
            return self._outlook(time.monotonic())

    def _outlook(self, now: float) -> Outlook:
        running = []
        for trial, since in self._running.values():
            one = RunningTrial(trial.id, 0, trial.configuration.training.epochs, now - since)
            if (record := self._epochs.get(trial.id)) is not None:
                one = replace(one, epoch=record.epoch, score=record.best)
            running.append(one)
        by_method = Counter(trial.method for trial, _ in self._running.values())
        methods = tuple(
            MethodOutlook(
                method,
                done=counts["finished"],
                running=by_method[method],
                stopped=counts["stopped"],
                failed=counts["failed"],
                best=self._bests.get(method),
            )
            for method, counts in self._counts.items()
        )
        trial_s = fmean(self._seconds) if self._seconds else None
        return Outlook(self._title, self._done, self._total, methods, tuple(running), trial_s)

    def _view(self) -> Group:
        self._bar.update(self._task, completed=self._done)
        return Group(self._bar, outlook_view.table(self.outlook, self._watched))

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        self._line(text)

    def _note(self, score: float, trial_id: str) -> None:
        begun = self._running.get(trial_id)
        if self._watched is None:
            return
        if begun:
            method = begun[0].method
            self._bests[method] = min(score, self._bests.get(method, score))
        if self._best is None or score < self._best[0]:
            self._best = (score, trial_id)

    def _shown(self, score: float) -> str:
        return f"val {self._watched.name} {self._watched.text(score)}" if self._watched else ""

    def _detail(self) -> str:
        parts = [f"{len(self._running)} running"]
        if self._best:
            parts.append(f"best {self._shown(self._best[0])} ({self._best[1]})")
        if (left := self.outlook.left_s) is not None:
            parts.append(f"about {outlook_view.duration(left)} left")
        return ", ".join(parts) + self._failures()

    def _failures(self) -> str:
        return f", {self._failed} failed" if self._failed else ""
