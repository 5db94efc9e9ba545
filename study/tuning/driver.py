"""What happens to trials, told on the driver to the proposals and to listeners: every epoch and every end once."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from go4align.training import Checkpoints, EpochRecord
from study.config import Configuration
from study.history import History
from study.proposals import Proposals
from study.trial import Trial, TrialResult
from study.tuning.connection import NodeWatch

_R = TypeVar("_R")


class Listener(Protocol):
    """Is told on the driver what happens to trials; must return at once.

    An `OSError` of theirs, a full disk, stops the study.
    """

    def start(self, trial: Trial) -> None: ...

    def log(self, trial_id: str, record: EpochRecord) -> None: ...

    def finish(self, trial_id: str, result: TrialResult) -> None: ...


def _first_error_ends(method: Callable[..., _R]) -> Callable[..., _R | None]:
    """Keep an error for the end of Tune's step: Tune would wrap it in one of its own, with the traceback as text."""

    @wraps(method)
    def guarded(self: "Driver", *args: Any, **kwargs: Any) -> _R | None:
        if self.error is not None:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.error = error
            return None

    return guarded


class DriverOnly:
    """Tune pickles searcher and callbacks beside its results; what lives on the driver alone travels empty."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Driver(DriverOnly, tune.Callback):
    """Passes what Tune hears of trials to the proposals and the listeners, each epoch and each end exactly once.

    An epoch goes to Optuna first and to the journal last, an end to the journal first and to Optuna last. So what the
    journal has of epochs and Optuna of ends is whole, and a resumed study finds out the rest.
    """

    def __init__(
        self,
        proposals: Proposals,
        listeners: Sequence[Listener],
        history: History,
        checkpoints: Path,
        stopped: Collection[str],
        watch: NodeWatch,
    ) -> None:
        self._proposals, self._listeners, self.checkpoints = proposals, listeners, checkpoints
        self._history, self._stopped, self._watch = history, stopped, watch
        self._so_far: dict[str, _SoFar] = {}
        for report in history.reports:
            self._add(report.trial, report.epoch, report.score, report.wall_s)
        self._running, self._ended = set[str](), set[str]()
        self._exhausted = False
        self.results: list[TrialResult] = []
        self.error: Exception | None = None

    @_first_error_ends
    def next(self) -> Trial | None:
        """The next trial that needs a worker; what earlier sittings settled is settled on the way."""
        while (trial := self._proposals.next()) is not None:
            begun = self._history.configurations.get(trial.id)
            if (known := self._history.results.get(trial.id)) is not None:
                self._ended.add(trial.id)
                self._proposals.finish(trial, replace(known, seconds=0.0))  # which the budget has counted
            elif begun is not None and Configuration.model_validate_json(begun) != trial.configuration:
                reason = "the study file was changed before the trial ended"
                self._end(trial, TrialResult(trial.id, "failed", reason=reason))
            elif trial.id in self._stopped:
                self._end_stopped(trial)
            else:
                self._running.add(trial.id)
                return trial
        self._exhausted = True
        return None

    @property
    def left(self) -> int:
        """How many trials run or are still to run, at most."""
        running = len(self._running)
        known = self._proposals.total - self._proposals.done - len(self._ended)
        return running if self._exhausted else max(running, known)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if self.error is not None:
            raise self.error
        self._watch.check(self.left)

    @_first_error_ends
    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        for listener in self._listeners:
            listener.start(trial.config["trial"])

    @_first_error_ends
    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        ours: Trial = trial.config["trial"]
        if "result" in result:
            self._end(ours, result["result"])
            return
        record: EpochRecord = result["record"]
        if ours.id in self._so_far and record.epoch <= self._so_far[ours.id].epoch:
            return  # trained again, or told again, after a kill
        self._add(ours.id, record.epoch, record.best, record.wall_s)
        self._proposals.report(ours, record.epoch, record.best)
        for listener in self._listeners:
            listener.log(ours.id, record)

    @_first_error_ends
    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Without a result of its own, the trial was stopped by the scheduler."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            self._end_stopped(ours)

    @_first_error_ends
    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """The worker died once too often, or raised where `run_trial` could not catch it."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            lines = str(trial.get_error() or "the worker died").strip().splitlines()
            epochs = self._so_far[ours.id].epoch if ours.id in self._so_far else 0
            self._end(ours, TrialResult(ours.id, "failed", epochs=epochs, reason=lines[-1], details="\n".join(lines)))

    def _add(self, trial_id: str, epoch: int, score: float, wall_s: float) -> None:
        before = self._so_far.get(trial_id, _SoFar(0, score, 0.0))
        self._so_far[trial_id] = _SoFar(epoch, score, before.seconds + wall_s)

    def _end_stopped(self, trial: Trial) -> None:
        last = self._so_far[trial.id]
        self._end(trial, TrialResult(trial.id, "stopped", last.score, epochs=last.epoch, seconds=last.seconds))

    def _end(self, trial: Trial, result: TrialResult) -> None:
        self._running.discard(trial.id)
        self._ended.add(trial.id)
        self.results.append(result)
        for listener in self._listeners:
            listener.finish(trial.id, result)
        self._proposals.finish(trial, result)
        Checkpoints(self.checkpoints / trial.id).clear()


class _SoFar(NamedTuple):
    """A trial's last reported epoch, its best score up to there, and the seconds of all its epochs."""

    epoch: int
    score: float
    seconds: float
