"""Successive halving within each method, which picks up where an earlier session was."""

from typing import Any, NamedTuple

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from study.spec.configuration import Configuration
from study.spec.search_sections import Scheduler
from study.trials.history import History
from study.trials.records import Trial


class _Named(NamedTuple):
    """What Ray's schedulers need of a trial, under our id: that stays when Tune starts it again."""

    trial_id: str


class MethodwiseASHA(FIFOScheduler):
    """One ASHA per method: a trial competes with trials of its own method only, so no baseline is cut short because
    another method is better.

    Args:
        options: of each ASHA.
        history: what trials of earlier sessions reported; each ASHA begins as if it had heard that.

    Attributes:
        stopped: trials of earlier sessions that were about to be stopped.
    """

    def __init__(self, options: Scheduler, history: History) -> None:
        super().__init__()
        self._options = options
        self._by_method: dict[str, ASHAScheduler] = {}
        self._known = set[str]()
        self.stopped: set[str] = set()
        reported = {report.trial for report in history.reports}
        epochs = {
            trial: Configuration.model_validate_json(text).training.epochs
            for trial, text in history.configurations.items()
            if trial in reported
        }
        for report in history.reports:
            decision = self.decide(report.method, report.trial, epochs[report.trial], report.epoch, report.score)
            if decision == TrialScheduler.STOP:
                self.stopped.add(report.trial)

    def _asha(self, method: str, epochs: int) -> ASHAScheduler:
        if method not in self._by_method:
            self._by_method[method] = ASHAScheduler(
                time_attr="epoch",
                metric="score",
                mode="min",
                grace_period=self._options.grace_of(epochs),
                reduction_factor=self._options.reduction_factor,
                max_t=10**9,  # a trial ends by itself
            )
        return self._by_method[method]

    def decide(self, method: str, trial_id: str, epochs: int, epoch: int, score: float) -> str:
        """Whether Ray shall go on with a trial after an epoch (from 1 to `epochs`) or stop it."""
        if epoch >= epochs:  # nothing is left to save: it has trained to the end
            return str(TrialScheduler.CONTINUE)
        asha = self._asha(method, epochs)
        named = _Named(trial_id)
        if trial_id not in self._known:
            self._known.add(trial_id)
            asha.on_trial_add(None, named)  # type: ignore[arg-type]  # the controller is not looked at
        return str(asha.on_trial_result(None, named, {"epoch": epoch, "score": score}))  # type: ignore[arg-type]

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Nothing: a trial is added when it first reports."""

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        if "result" in result:
            return str(TrialScheduler.CONTINUE)
        ours: Trial = trial.config["trial"]
        epochs = ours.configuration.training.epochs
        return self.decide(ours.method, ours.id, epochs, result["epoch"], result["score"])

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        """Nothing: every report has been heard."""

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Nothing: what it reported still counts."""

    def debug_string(self) -> str:
        return "ASHA, one per method"
