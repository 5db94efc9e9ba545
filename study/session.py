"""One sitting with a study: its tracker, its Ray cluster and its stages, opened and closed together."""

import errno
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import RunFailedError
from study.config import Reference, Scheduler, StudyFile
from study.history import History
from study.home import study_folder, without_password
from study.interrupts import interruptible
from study.mlflow_tracker import MlflowTracker
from study.progress import StudyProgress
from study.proposals import FixedTrials, Proposals
from study.references import find_reference, measured_reference, published_reference
from study.trial import Stage, Trial, TrialResult
from study.tuning import check_resources, ray_session, run_trials

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""Errors of a disk, which the user must mend."""

_PATIENCE_S, _HURRY_S = 30.0, 5.0
"""How long the end of a study waits for MLflow; what it has not taken by then, `study sync` brings."""

_NODE_S, _LOCAL_NODE_S = 1800.0, 20.0
"""How long a study waits for a lost cluster's nodes: an autoscaler may bring others, this machine alone will not."""


class Session:
    """Opens the tracker and the cluster; closes both whatever happens, and says how the study ended.

    Args:
        study: what is studied.
        uri: the tracking store.
        space_hash: of the search space, kept with every run.
        text: the study file as written, kept with the study; default its validated values.
        address: a Ray cluster; default a fresh local one.
        console: where progress and notices are shown; default nowhere.
        resume: the run of the study to go on with; True for the one that readers of the store take.
        changed: the study file or search space was changed on purpose since that run began.
        trains: whether a cluster is needed; it is started first, so that a study which cannot run leaves no trace.
    """

    def __init__(
        self,
        study: StudyFile,
        uri: str,
        *,
        space_hash: str = "",
        text: str | None = None,
        address: str | None = None,
        console: Console | None = None,
        resume: bool | str = False,
        changed: bool = False,
        trains: bool = True,
    ) -> None:
        self.study, self.console = study, console or Console(quiet=True)
        self.tracker = MlflowTracker(uri, notify=self._say)
        self._uri, self._space_hash, self._text = uri, space_hash, text
        self._address, self._resume, self._changed = address, resume, changed
        self._trains = trains
        self._stack = ExitStack()
        self._began = time.monotonic()
        self.history = History()

    @property
    def _resume_command(self) -> str:
        return f"study resume {self.study.name}" + (f" --address {self._address}" if self._address else "")

    @property
    def spent_s(self) -> float:
        """Seconds that all sittings with this run of the study have lasted."""
        return self.history.wall_s + time.monotonic() - self._began

    def __enter__(self) -> Self:
        self._say(f"{self.study.name}: {', '.join(self.study.methods)} on {self.study.benchmark.name}")
        self._say(f"MLflow: {without_password(self._uri)}")
        self.benchmark = build_benchmark(self.study.benchmark.name, **self.study.benchmark.options)
        try:
            if self._trains:
                self.benchmark.prepare()
                self._say("Starting Ray" if self._address is None else f"Connecting to Ray at {self._address}")
                self._stack.enter_context(ray_session(self._address))
                check_resources(self.study.resources)
            self._stack.enter_context(interruptible(self._say))  # after Ray, which sets a handler of its own
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        self.tracker.open(
            self.study, space_hash=self._space_hash, source=self._text, resume=self._resume, changed=self._changed
        )
        self.history = self.tracker.history()
        self.folder = study_folder(self.study.name) / self.tracker.study_run
        self.folder.mkdir(exist_ok=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        interrupted = kind is KeyboardInterrupt
        try:
            left = self.tracker.close(
                "finished" if kind is None else "interrupted" if interrupted else "failed",
                timeout_s=_HURRY_S if interrupted else _PATIENCE_S,
            )
        finally:
            self._stack.close()
        if left:
            self._say(f"What follows lacks {left} events: bring them with `study sync {self.study.name}`.")
        if interrupted:
            self._say(f"Interrupted. Go on with: {self._resume_command}")
        if isinstance(error, OSError) and error.errno in _DISK:
            where = f" ({error.filename})" if error.filename else ""
            raise RunFailedError(
                f"{error.strerror}{where}: the study stopped. Mend that, then: {self._resume_command}"
            ) from None

    def run(
        self, stage: Stage, proposals: Proposals, *, score_name: str | None, scheduler: Scheduler | None = None
    ) -> list[TrialResult]:
        """Run all proposed trials of a stage."""
        with StudyProgress(stage, proposals.total, self.console, score_name, done=proposals.done) as progress:
            return run_trials(
                proposals,
                resources=self.study.resources,
                listeners=[self.tracker, progress],
                folder=self.folder,
                stage=stage,
                scheduler=scheduler,
                history=self.history.of(stage),
                patience_s=_NODE_S if self._address else _LOCAL_NODE_S,
            )

    def run_all(self, stage: Stage, trials: Sequence[Trial], *, score_name: str | None) -> list[TrialResult]:
        """Run the given trials, but for those that an earlier sitting finished."""
        known = self.history.of(stage).results
        missing = [trial for trial in trials if trial.id not in known]
        results = [known[trial.id] for trial in trials if trial.id in known]
        return results + (self.run(stage, FixedTrials(missing), score_name=score_name) if missing else [])

    def reference(self) -> Reference:
        """What Delta m is relative to; single-task runs that are in the store already are not repeated."""
        if self.study.reference == "published":
            return published_reference(self.benchmark)

        def find(key: str) -> dict[str, float] | None:
            return find_reference(key, self._uri, notify=self._say)

        return measured_reference(self.study, self.benchmark, find, self._train)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def _train(self, trials: Sequence[Trial]) -> list[TrialResult]:
        return self.run_all("reference", trials, score_name=None)
