"""A session with a study: its tracker and its Ray cluster, opened and closed together around its stages."""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.own_network import check_network
from go4align.errors import RunFailedError
from go4align.training import watched_by
from study.home import study_folder
from study.search import FixedTrials, TrialSource
from study.spec import Budgeted, Scheduler, StudyFile
from study.stages.interrupts import interruptible
from study.stages.progress import StudyProgress, notices
from study.store.uri import without_password
from study.tracking import StudyStatus, Tracker
from study.trials.history import History
from study.trials.records import Stage, Trial, TrialResult
from study.tuning import check_resources, ray_session, run_trials

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""Errors of a disk, which the user must mend."""

_PATIENCE_S, _HURRY_S, _HASTE_S = 30.0, 5.0, 2.0
"""How long the end of a study waits for MLflow: of one that has finished, of one that was interrupted, and of one that
Ray holds up. What MLflow has not taken by then, `study sync` brings."""

_INTERRUPTED = 130
"""The exit code of what a signal ended."""

_NODE_S, _LOCAL_NODE_S = 1800.0, 20.0
"""How long a study waits for a lost cluster's nodes: an autoscaler may bring others, this machine alone will not."""


@dataclass(frozen=True)
class Session:
    """An open session with a study; see `open_session`.

    Attributes:
        study: what is studied.
        tracker: told of everything; open.
        benchmark: the study's.
        history: what earlier sessions with this run of the study left.
        folder: of this run of the study: its plan, checkpoints and Optuna's journal.
        console: where progress and notices are shown.
        patience_s: how long the cluster may be without a node that can hold a trial.
        resume_command: goes on with the study.
        any_code: whether workers may run another version of this code than this process.
    """

    study: StudyFile
    tracker: Tracker
    benchmark: Benchmark
    history: History
    folder: Path
    console: Console
    patience_s: float
    resume_command: str
    any_code: bool = False
    _began: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        """Seconds that all sessions with this run of the study have lasted."""
        return self.history.wall_s + time.monotonic() - self._began

    def run(
        self,
        stage: Stage,
        proposals: TrialSource,
        *,
        budget: Budgeted = "search",
        compared: bool = True,
        scheduler: Scheduler | None = None,
    ) -> list[TrialResult]:
        """Run all proposed trials of a stage, which are under one budget; `compared` says whether their scores can
        be."""
        watched = watched_by(self.study.training.selection_rule.metric, self.benchmark) if compared else None
        with StudyProgress(stage, proposals.total, self.console, watched, done=proposals.done) as progress:
            return run_trials(
                proposals,
                resources=self.study.resources_of(budget),
                trackers=[self.tracker, progress],
                folder=self.folder,
                stage=stage,
                scheduler=scheduler,
                history=self.history.of(stage),
                patience_s=self.patience_s,
                remedy=f"go on by `{self.resume_command}`",
                any_code=self.any_code,
            )

    def run_all(
        self, stage: Stage, trials: Sequence[Trial], *, budget: Budgeted = "search", compared: bool = True
    ) -> list[TrialResult]:
        """Run the given trials, but for those that an earlier session finished."""
        known = self.history.of(stage).results
        missing = [trial for trial in trials if trial.id not in known]
        results = [known[trial.id] for trial in trials if trial.id in known]
        return results + (self.run(stage, FixedTrials(missing), budget=budget, compared=compared) if missing else [])


@contextmanager
def open_session(
    study: StudyFile,
    tracker: Tracker,
    *,
    benchmark: Benchmark | None = None,
    address: str | None = None,
    console: Console | None = None,
    trains: bool = True,
    any_code: bool = False,
    goes_on: str | None = None,
    budget: Budgeted = "search",
) -> Iterator[Session]:
    """Open the cluster and the tracker; close both whatever happens, and say how the study ended.

    Args:
        study: what is studied.
        tracker: not open yet.
        benchmark: the study's, where it is built already.
        address: a Ray cluster; default a fresh local one.
        console: where progress and notices are shown; default nowhere.
        trains: whether a cluster is needed; it is started first, so that a study which cannot run leaves no trace.
        any_code: see `Session`.
        goes_on: the command that goes on with it; default `study resume`.
        budget: whose trials a node must hold.

    Raises:
        UserError: no node can hold a trial, the tracker cannot be opened, or a disk failed (`RunFailedError`).
    """
    console = console or Console(quiet=True)
    say = notices(console)
    say(f"{study.name}: {', '.join(study.methods)} on {study.benchmark.name}")
    if tracker.uri:
        say(f"MLflow: {without_password(tracker.uri)}")
    benchmark = benchmark or study.build_benchmark()
    with ExitStack() as stack:
        if trains:
            benchmark.prepare()
            study.with_data(benchmark)
            if "build_model" in vars(benchmark):
                check_network(benchmark)
            if benchmark.data_note:
                say(f"Data: {benchmark.data_note}")
            say("Starting Ray" if address is None else f"Connecting to Ray at {address}")
            stack.enter_context(ray_session(address))
            check_resources(study.resources_of(budget))
        resume = (goes_on or f"study resume {study.name}") + (f" --address {address}" if address else "")
        overdue = partial(_leave, tracker, say, resume)
        timer = stack.enter_context(interruptible(say, overdue))  # after Ray, which sets a handler of its own
        history = tracker.open()
        with _disk_faults_in_one_line(resume), _closing(tracker, say, resume, timer):
            folder = study_folder(study.name) / tracker.study_run
            folder.mkdir(exist_ok=True)
            patience_s = _NODE_S if address else _LOCAL_NODE_S
            yield Session(study, tracker, benchmark, history, folder, console, patience_s, resume, any_code)


@contextmanager
def _closing(tracker: Tracker, say: Callable[[str], None], resume: str, overdue: threading.Timer) -> Iterator[None]:
    """Close the tracker with how the study ended."""
    status: StudyStatus = "finished"
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        raise
    finally:
        overdue.cancel()
        interrupted = status == "interrupted"
        left = tracker.close(status, timeout_s=_HURRY_S if interrupted else _PATIENCE_S)
        if left:
            say(f"What follows lacks {left} events, which MLflow has not taken yet.")
        if interrupted:
            say(f"Interrupted. Go on with: {resume}")


def _leave(tracker: Tracker, say: Callable[[str], None], resume: str) -> None:
    """End the process where Ray does not let it end: its cluster is gone, and it would wait for that for minutes."""
    tracker.close("interrupted", timeout_s=_HASTE_S)
    say(f"Interrupted. Go on with: {resume}")
    sys.stdout.flush()
    os._exit(_INTERRUPTED)


@contextmanager
def _disk_faults_in_one_line(resume: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise RunFailedError(f"{error.strerror}{where}: the study stopped. Mend that, then: {resume}") from None
