"""What happens to trials, told on the driver to the proposals and to trackers: every epoch and every end once."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from go4align.errors import RunFailedError
from go4align.training import Checkpoints, EpochRecord
from study.search.source import TrialSource
from study.spec.configuration import Configuration
from study.tracking import Tracker
from study.trials.alone import ATTEMPTS
from study.trials.history import History
from study.trials.records import Trial, TrialResult
from study.tuning.cluster import NodeWatch

_R = TypeVar("_R")


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
    """Passes what Tune hears of trials to the proposals and the trackers, each epoch and each end exactly once.

    An epoch goes to Optuna first and to the journal last, an end to the journal first and to Optuna last. So what the
    journal has of epochs and Optuna of ends is whole, and a resumed study finds out the rest.
    """

    def __init__(
        self,
        proposals: TrialSource,
        trackers: Sequence[Tracker],
        history: History,
        checkpoints: Path,
        stopped: Collection[str],
        watch: NodeWatch,
    ) -> None:
        self._proposals = proposals
        self._trackers = trackers
        self._history = history
        self._stopped = stopped
        self._watch = watch
        self.checkpoints = checkpoints
        self._so_far: dict[str, _SoFar] = {}
        for report in history.reports:
            self._add(report.trial, report.epoch, report.score, report.wall_s)
        self._running: set[str] = set()
        self._again: list[Trial] = []  # whose worker died before it took them
        self._started = set(history.configurations)  # trials that have reached a worker, in earlier sessions too
        self._reached = False  # whether any has in this one
        self._begun = False  # whether any worker has got as far as training
        self._failures: dict[str, int] = {}
        self._ended: set[str] = set()
        self._exhausted = False
        self.results: list[TrialResult] = []
        self.error: Exception | None = None

    @_first_error_ends
    def next(self) -> Trial | None:
        """The next trial that needs a worker; what earlier sessions settled is settled on the way."""
        if self._again:
            return self._again.pop(0)
        while (trial := self._proposals.next()) is not None:
            begun = self._history.configurations.get(trial.id)
            if (known := self._history.results.get(trial.id)) is not None:
                self._ended.add(trial.id)
                self._proposals.finish(trial, replace(known, seconds=0.0))  # which the budget has counted
            elif begun is not None and Configuration.model_validate_json(begun).key != trial.configuration.key:
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
    def finished(self) -> bool:
        """Whether no trial is to come: none is proposed, and none that runs could have to begin again."""
        return self._exhausted and not self._running

    @property
    def left(self) -> int:
        """How many trials run or are still to run, at most."""
        running = len(self._running)
        known = self._proposals.total - self._proposals.done - len(self._ended)
        return running if self._exhausted else max(running, known)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if self.error is not None:
            raise self.error
        self._watch.check(self.left, begun=self._reached)

    @_first_error_ends
    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._reached = True
        self._start(trial.config["trial"])

    @_first_error_ends
    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        ours: Trial = trial.config["trial"]
        if "refused" in result:
            raise RunFailedError(result["refused"])
        self._begun = True
        self._failures.pop(ours.id, None)
        if "result" in result:
            self._end(ours, result["result"])
            return
        record: EpochRecord = result["record"]
        if ours.id in self._so_far and record.epoch <= self._so_far[ours.id].epoch:
            return  # trained again, or told again, after a kill
        self._add(ours.id, record.epoch, record.best, record.wall_s)
        self._proposals.report(ours, record.epoch, record.best)
        for tracker in self._trackers:
            tracker.log(ours.id, record)

    @_first_error_ends
    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Without a result of its own, the trial was stopped by the scheduler."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            self._end_stopped(ours)

    @_first_error_ends
    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Tune starts the trial again, whose worker failed. Deaths within an epoch the next worker counts itself; where
        none gets as far as that, this is the last time."""
        ours: Trial = trial.config["trial"]
        if not self._may_try_again(ours):
            trial.max_failures = trial.run_metadata.num_failures

    @_first_error_ends
    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """The worker died once too often, or raised where `run_trial` could not catch it. A trial that Tune would start
        again, had its worker not died between an earlier trial and this one, is proposed again."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            if trial.should_recover() and self._may_try_again(ours):
                self._again.append(ours)
                return
            lines = _error_of(trial).splitlines()
            epochs = self._so_far[ours.id].epoch if ours.id in self._so_far else 0
            reason = cause_of(lines)
            self._end(ours, TrialResult(ours.id, "failed", epochs=epochs, reason=reason, details="\n".join(lines)))
            if not self._begun:
                raise RunFailedError(
                    f"No worker can start a trial here: {reason}. Mend the environment that workers run in (on a "
                    "cluster, of every node), then start the study anew or resume it."
                )

    def _may_try_again(self, trial: Trial) -> bool:
        self._failures[trial.id] = self._failures.get(trial.id, 0) + 1
        return self._failures[trial.id] <= ATTEMPTS

    def _add(self, trial_id: str, epoch: int, score: float, wall_s: float) -> None:
        before = self._so_far.get(trial_id, _SoFar(0, score, 0.0))
        self._so_far[trial_id] = _SoFar(epoch, score, before.seconds + wall_s)

    def _end_stopped(self, trial: Trial) -> None:
        last = self._so_far[trial.id]
        self._end(trial, TrialResult(trial.id, "stopped", last.score, epochs=last.epoch, seconds=last.seconds))

    def _start(self, trial: Trial) -> None:
        self._started.add(trial.id)
        for tracker in self._trackers:
            tracker.start(trial)

    def _end(self, trial: Trial, result: TrialResult) -> None:
        if trial.id not in self._started:  # it failed before any worker took it
            self._start(trial)
        self._running.discard(trial.id)
        self._ended.add(trial.id)
        self.results.append(result)
        for tracker in self._trackers:
            tracker.finish(trial.id, result)
        self._proposals.finish(trial, result)
        Checkpoints(self.checkpoints / trial.id).clear()


def _error_of(trial: TuneTrial) -> str:
    """What Tune wrote down of a trial's failures, the last one last. (`get_error` looks where they are copied to.)"""
    path = trial.error_file
    text = Path(path).read_text(errors="replace").strip() if path and Path(path).exists() else ""
    return text or "the worker died"


def cause_of(lines: Sequence[str]) -> str:
    """The line of a worker's error that says most: the last one that names an exception."""
    named = [line for line in lines if re.match(r"\s*(\w+\.)*\w*(Error|Exception|Exit|Interrupt)\b.*", line)]
    return (named or list(lines))[-1].strip().rstrip(".")


class _SoFar(NamedTuple):
    """A trial's last reported epoch, its best score up to there, and the seconds of all its epochs."""

    epoch: int
    score: float
    seconds: float
