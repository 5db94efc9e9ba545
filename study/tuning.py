"""Ray Tune: runs proposed trials in reused workers, stops weak ones, and tells listeners on the driver."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from go4align.errors import UserError
from go4align.training import EpochRecord
from study.config import Resources, Scheduler
from study.proposals import Proposals
from study.trial import Trial, TrialResult, run_trial

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the session, which closes tracker and cluster
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

for _key, _value in _SETTINGS.items():
    os.environ.setdefault(_key, _value)  # Ray reads them when it is used


class Listener(Protocol):
    """Is told on the driver what happens to trials; must return at once and never raise."""

    def start(self, trial: Trial) -> None: ...

    def log(self, trial_id: str, record: EpochRecord) -> None: ...

    def finish(self, trial_id: str, result: TrialResult) -> None: ...


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one this process is already connected to, or a fresh local one."""
    if address:
        _check_port(address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"address": address} if address else {"include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
    except ConnectionError as error:
        raise UserError(f"No Ray cluster at '{address}': {error} Start one with `ray start --head`.") from None
    try:
        yield
    finally:
        ray.shutdown()


def run_trials(
    proposals: Proposals,
    *,
    resources: Resources,
    listeners: Sequence[Listener],
    folder: Path,
    stage: str,
    scheduler: Scheduler | None = None,
) -> list[TrialResult]:
    """Run all proposed trials on the connected cluster; returns their results in the order they ended.

    Raises:
        UserError: no node can ever hold one trial.
    """
    slots = check_resources(resources)
    driver = _Driver(proposals, listeners)
    tuner = tune.Tuner(
        tune.with_resources(_train, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="min",
            search_alg=_Adapter(proposals),
            scheduler=_MethodwiseASHA(scheduler) if scheduler and scheduler.name == "asha" else FIFOScheduler(),
            num_samples=proposals.total,
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=stage, storage_path=str(folder), callbacks=[driver], verbose=0, log_to_file=False
        ),
    )
    tuner.fit()
    return driver.results


def _train(config: dict[str, Any]) -> None:
    """Runs in a worker. Epochs are reported one by one, and the result in a report of its own: Ray does not pass a
    trial's last report to its searcher, and a scheduler may stop a trial at any report."""
    trial: Trial = config["trial"]

    def report(record: EpochRecord) -> None:
        tune.report({"epoch": record.epoch, "score": record.best, "record": record})

    result = run_trial(trial, report)
    tune.report({"epoch": result.epochs, "score": result.score, "result": result})


def _check_port(address: str) -> None:
    """A closed port is told at once; Ray tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not (host and port.isdigit()):
        raise UserError(f"A Ray address must be HOST:PORT or auto, found '{address}'.")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No Ray cluster answers at '{address}' ({error}). Start one with `ray start --head`."
        ) from None


def check_resources(resources: Resources) -> int:
    """How many trials the connected cluster holds at once.

    Raises:
        UserError: not one.
    """
    slots = 0
    for node in ray.nodes():
        if node["Alive"]:
            free = node["Resources"]
            cpus = free.get("CPU", 0) / resources.cpus
            slots += int(min(cpus, free.get("GPU", 0) / resources.gpus) if resources.gpus else cpus)
    if slots < 1:
        raise UserError(
            f"A trial needs {resources.cpus:g} CPUs and {resources.gpus:g} GPUs, but no node has them: the cluster has "
            f"{ray.cluster_resources().get('CPU', 0):g} CPUs and {ray.cluster_resources().get('GPU', 0):g} GPUs. "
            "Lower `resources`, or add nodes."
        )
    return slots


class _DriverOnly:
    """Tune pickles searcher and callbacks beside its results; what lives on the driver alone travels empty."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Adapter(_DriverOnly, Searcher):
    """Proposals as a Tune searcher. Results reach the proposals through `_Driver`, which hears of every one."""

    def __init__(self, proposals: Proposals) -> None:
        super().__init__(metric="score", mode="min")
        self._proposals = proposals

    def suggest(self, trial_id: str) -> Any:
        trial = self._proposals.next()
        return Searcher.FINISHED if trial is None else {"trial": trial}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: see `_Driver`."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the proposals keep their state in Optuna's storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the proposals keep their state in Optuna's storage."""


class _Driver(_DriverOnly, tune.Callback):
    """Passes what Tune hears of trials to the proposals and the listeners, each trial's end exactly once."""

    def __init__(self, proposals: Proposals, listeners: Sequence[Listener]) -> None:
        self._proposals, self._listeners = proposals, listeners
        self._last: dict[str, EpochRecord] = {}
        self._seconds: dict[str, float] = {}
        self._ended: set[str] = set()
        self.results: list[TrialResult] = []

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        for listener in self._listeners:
            listener.start(trial.config["trial"])

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        ours: Trial = trial.config["trial"]
        if "result" in result:
            self._end(ours, result["result"])
            return
        record: EpochRecord = result["record"]
        self._last[ours.id] = record
        self._seconds[ours.id] = self._seconds.get(ours.id, 0.0) + record.wall_s
        self._proposals.report(ours, record.epoch, record.best)
        for listener in self._listeners:
            listener.log(ours.id, record)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Without a result of its own, the trial was stopped by the scheduler."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            last = self._last[ours.id]
            seconds = self._seconds[ours.id]
            self._end(ours, TrialResult(ours.id, "stopped", last.best, epochs=last.epoch, seconds=seconds))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """The worker died, or raised where `run_trial` could not catch it."""
        ours: Trial = trial.config["trial"]
        if ours.id not in self._ended:
            lines = str(trial.get_error() or "the worker died").strip().splitlines()
            epochs = self._last[ours.id].epoch if ours.id in self._last else 0
            self._end(ours, TrialResult(ours.id, "failed", epochs=epochs, reason=lines[-1], details="\n".join(lines)))

    def _end(self, trial: Trial, result: TrialResult) -> None:
        self._ended.add(trial.id)
        self.results.append(result)
        self._proposals.finish(trial, result)
        for listener in self._listeners:
            listener.finish(trial.id, result)


class _MethodwiseASHA(FIFOScheduler):
    """One ASHA per method: a trial competes with trials of its own method only, so no baseline is cut short because
    another method is better."""

    def __init__(self, options: Scheduler) -> None:
        super().__init__()
        self._options = options
        self._by_method: dict[str, ASHAScheduler] = {}

    def _asha(self, trial: TuneTrial) -> ASHAScheduler:
        method = trial.config["trial"].method
        if method not in self._by_method:
            self._by_method[method] = ASHAScheduler(
                time_attr="epoch",
                metric="score",
                mode="min",
                grace_period=self._options.grace_epochs,
                reduction_factor=self._options.reduction_factor,
                max_t=10**9,  # a trial ends by itself
            )
        return self._by_method[method]

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        self._asha(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        last = trial.config["trial"].configuration.training.epochs
        if "result" in result or result["epoch"] >= last:  # nothing is left to save: it has trained to the end
            return str(TrialScheduler.CONTINUE)
        return str(self._asha(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        if "result" not in result:
            self._asha(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        self._asha(trial).on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        return "ASHA, one per method"
