"""Proposed trials, run by Ray Tune in reused workers."""

import logging
import math
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from go4align.training import Checkpoints, EpochRecord
from study.search.source import TrialSource
from study.spec.run_sections import Resources
from study.spec.search_sections import Scheduler
from study.tracking import Tracker
from study.trials.alone import refusal
from study.trials.code import source_digest
from study.trials.history import History
from study.trials.networks import network_file
from study.trials.records import Trial, TrialResult
from study.trials.run import run_trial
from study.tuning.asha import MethodwiseASHA
from study.tuning.cluster import NodeWatch
from study.tuning.driver import Driver, DriverOnly

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the session, which closes tracker and cluster
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # Tune's own snapshots: a study is resumed from Optuna's and our journals
}

_CHECKPOINTS = "checkpoints"

_RESTARTS = 20
"""How often Tune starts a trial again whose worker or node died. `trials.alone.ATTEMPTS` ends it long before that, but
for one that gets further every time, or whose worker cannot even start."""

logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a lost worker's traceback: trackers are told

for _key, _value in _SETTINGS.items():
    os.environ.setdefault(_key, _value)  # Ray reads them when it is used


def run_trials(
    proposals: TrialSource,
    *,
    resources: Resources,
    trackers: Sequence[Tracker],
    folder: Path,
    stage: str,
    scheduler: Scheduler | None = None,
    history: History | None = None,
    patience_s: float = 20.0,
    remedy: str = "start it again",
    any_code: bool = False,
) -> list[TrialResult]:
    """Run what is left of the proposed trials on the connected cluster; returns their results in the order they ended.

    A trial whose process or node dies goes on elsewhere from its last checkpoint, as does one of an earlier session.

    Args:
        proposals: what to run.
        resources: of one trial.
        trackers: told of everything, in this order.
        folder: of this run of the study, for checkpoints and networks; with several nodes on storage that all of them
            share.
        stage: names Tune's own folder, which is of no use afterwards and removed.
        scheduler: stops weak trials; default none.
        history: of this stage.
        patience_s: how long the cluster may be without a node that can hold a trial.
        remedy: what to do after that.
        any_code: whether a worker under another version of this code than the driver's may train.

    Raises:
        UserError: no node can hold one trial (`RunFailedError`: none can any more, or a worker has other code).
    """
    watch = NodeWatch(resources, patience_s, remedy)
    history = history or History()
    asha = MethodwiseASHA(scheduler, history) if scheduler and scheduler.name == "asha" else None
    checkpoints = folder / _CHECKPOINTS
    scratch = folder / "ray"
    for earlier in checkpoints.glob("*"):
        ended = earlier.name in history.results
        Checkpoints(earlier).clear() if ended else Checkpoints(earlier).forgive()
    driver = Driver(proposals, trackers, history, checkpoints, asha.stopped if asha else frozenset(), watch)
    searching = _Searcher(driver, folder, None if any_code else source_digest())
    searcher = ConcurrencyLimiter(searching, max_concurrent=watch.slots)
    watch.on_growth = searcher.set_max_concurrency
    tuner = tune.Tuner(
        tune.with_resources(_train, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="min",
            search_alg=searcher,
            scheduler=asha or FIFOScheduler(),
            num_samples=-1,  # as many as the proposals have, and again those whose worker died before it took them
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=stage,
            storage_path=str(scratch),
            callbacks=[driver],
            failure_config=tune.FailureConfig(max_failures=_RESTARTS),
            verbose=0,
            log_to_file=False,
        ),
    )
    try:
        tuner.fit()
    finally:
        watch.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return driver.results


def _train(config: dict[str, Any]) -> None:
    """Runs in a worker. Epochs are reported one by one, and the result in a report of its own: Ray does not pass a
    trial's last report to its searcher, and a scheduler may stop a trial at any report."""
    trial: Trial = config["trial"]
    if refused := _other_code(config["code"]) or refusal(trial):
        told = (
            f"The worker on {platform.node()} cannot train: {refused} Nothing is lost: mend that and resume the study."
        )
        tune.report({"epoch": 0, "score": math.inf, "result": None, "refused": told})
        return
    folder = Path(config["folder"])
    checkpoints = Checkpoints(folder / _CHECKPOINTS / trial.id)

    def report(record: EpochRecord) -> None:
        tune.report({"epoch": record.epoch, "score": record.best, "record": record})

    result = run_trial(trial, report, checkpoints=checkpoints, network=network_file(folder, trial.id))
    tune.report({"epoch": result.epochs, "score": result.score, "result": result})


def _other_code(begun: str | None) -> str:
    """What to say where this worker runs another version of this code than the study began with; "" where not."""
    if begun in (None, source_digest()):
        return ""
    return (
        f"it has another version of this code, whose sources are {source_digest()}; the study began with {begun}. "
        "Install the same everywhere, or go on with what there is by --accept-changes."
    )


class _Searcher(DriverOnly, Searcher):
    """TrialSource as a Tune searcher. Results reach the proposals through `Driver`, which hears of every one."""

    def __init__(self, driver: Driver, folder: Path, code: str | None) -> None:
        super().__init__(metric="score", mode="min")
        self._driver = driver
        self._folder = folder
        self._code = code

    def suggest(self, trial_id: str) -> Any:
        trial = self._driver.next()
        if trial is None:
            return Searcher.FINISHED if self._driver.finished else None  # None: asked again later
        return {"trial": trial, "folder": str(self._folder), "code": self._code}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: see `Driver`."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the proposals keep their state in Optuna's storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the proposals keep their state in Optuna's storage."""
