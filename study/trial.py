"""One trial: a frozen configuration and a seed in, a frozen result out. Works without Ray; Ray only wraps it."""

import math
import statistics
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError
from go4align.metrics import delta_m, median_change, relative_changes
from go4align.training import EpochRecord, Evaluation, Monitor, Trainer
from go4align.weighting.registry import build_weighting
from study.config import BenchmarkSection, Configuration

Stage = Literal["reference", "search", "final"]
Origin = Literal["published", "proposed", "tuned"]
Status = Literal["finished", "stopped", "failed"]
Metrics = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """What is to be run.

    Attributes:
        id: unique within the study, the same in Tune, Optuna and MLflow.
        stage: single-task reference, search, or final run.
        configuration: all that decides the run but its seed.
        seed: of initialisation, shuffling and everything random.
        origin: whether the hyperparameters are the published defaults, proposed by the search, or tuned.
        reference: validation and test metrics of single-task learning by split and `task/metric`, for Delta m;
            empty for the reference runs themselves.
        test: whether the test split is read at the end (reference and final runs only).
    """

    id: str
    stage: Stage
    configuration: Configuration
    seed: int
    origin: Origin = "proposed"
    reference: Mapping[str, Metrics] = field(default_factory=dict)
    test: bool = False

    @property
    def method(self) -> str:
        return self.configuration.method.key


@dataclass(frozen=True)
class TrialResult:
    """What came out.

    Attributes:
        status: "finished"; "stopped" by the scheduler; or "failed" with a `reason`.
        score: the lowest monitored validation value (Delta m in percent, or the task's loss for a reference run).
        metrics: `split/task/metric`, `split/delta_m` and `split/median_change` of the best epoch's model, and
            `epoch_s`, the median seconds of an epoch.
        epochs, seconds: trained epochs and wall-clock seconds.
        reason: why it failed, one line; `details` holds the traceback.
    """

    trial: str
    status: Status
    score: float | None = None
    metrics: Metrics = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    details: str = ""


def run_trial(
    trial: Trial,
    on_epoch: Callable[[EpochRecord], Any] = lambda _: None,
    *,
    device: str | None = None,
    threads: int = 1,
) -> TrialResult:
    """Train one configuration; a failure is a result, never an exception.

    Args:
        trial: what to run.
        on_epoch: called after every epoch.
        device: default CUDA where there is one.
        threads: torch's threads on a CPU; results depend on their number, so trials and single runs use one.
    """
    start, epoch_s, place = time.perf_counter(), list[float](), "before training"
    torch.set_num_threads(threads)
    try:
        trainer = build_trainer(trial, device or ("cuda" if torch.cuda.is_available() else "cpu"))
        metrics: Metrics = {}
        place = "epoch 1"
        for record in trainer.epochs():
            if not math.isfinite(record.monitored):
                place = f"epoch {record.epoch}"
                raise UserError(
                    f"The validation score is {record.monitored}: the run diverged. Lower the learning rate."
                )
            epoch_s.append(record.wall_s)
            place = f"epoch {record.epoch + 1}"
            on_epoch(record)
            if record.epoch == trainer.best_epoch:
                metrics = split_metrics(trainer.benchmark, "val", record.val, trial.reference)
        place = "test"
        if trial.test:
            metrics |= split_metrics(trainer.benchmark, "test", trainer.test(), trial.reference)
        metrics["epoch_s"] = statistics.median(epoch_s)
        return TrialResult(trial.id, "finished", trainer.best, metrics, trainer.epoch, time.perf_counter() - start)
    except Exception as error:  # whatever goes wrong in a trial is its result
        reason = f"{place}: {_reason(error)}"
        seconds = time.perf_counter() - start
        return TrialResult(
            trial.id, "failed", epochs=len(epoch_s), seconds=seconds, reason=reason, details=traceback.format_exc()
        )
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # a reused worker shares its GPU with others


def build_trainer(trial: Trial, device: str) -> Trainer:
    """The trainer of a trial: benchmark, model, weighting and monitor."""
    configuration = trial.configuration
    benchmark = _benchmark(configuration.benchmark.model_dump_json())
    method = configuration.method
    return Trainer(
        benchmark,
        lambda: build_weighting(
            method.name, n_tasks=benchmark.n_tasks, task_names=benchmark.task_names, **method.options
        ),
        configuration.training,
        seed=trial.seed,
        monitor=_monitor(benchmark, trial),
        device=device,
    )


def split_metrics(
    benchmark: Benchmark, split: str, evaluation: Evaluation, reference: Mapping[str, Metrics]
) -> Metrics:
    """Every metric and task loss by `split/task/metric`; with a reference Delta m, its median and the changes too."""
    named = {f"{split}/{key}": value for key, value in evaluation.metrics.items()}
    named |= {f"{split}/{task}/loss": loss for task, loss in zip(benchmark.task_names, evaluation.losses, strict=True)}
    if split in reference:
        changes = changes_against(benchmark, evaluation.metrics, reference[split])
        named |= {f"{split}/delta_m": delta_m(changes), f"{split}/median_change": median_change(changes)}
        named |= {f"{split}/{key}_change": change for key, change in changes.items()}
    return named


def changes_against(benchmark: Benchmark, metrics: Metrics, reference: Metrics) -> Metrics:
    """Relative change in percent per `task/metric`."""
    directions = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    return relative_changes(metrics, reference, directions)


def _monitor(benchmark: Benchmark, trial: Trial) -> Monitor:
    """Validation Delta m, or the one task's validation loss where there is no reference yet."""
    if trial.reference:
        reference = trial.reference["val"]
        return lambda evaluation: delta_m(changes_against(benchmark, evaluation.metrics, reference))
    task = trial.configuration.method.options.get("task")
    if task is None:
        return lambda evaluation: math.fsum(evaluation.losses) / len(evaluation.losses)
    return lambda evaluation: evaluation.losses[task]


@lru_cache(maxsize=1)
def _benchmark(section: str) -> Benchmark:
    """The benchmark of the last trial, kept so that a reused worker reads its data once; it holds no trial's state."""
    parsed = BenchmarkSection.model_validate_json(section)
    benchmark = build_benchmark(parsed.name, **parsed.options)
    benchmark.prepare()
    return benchmark


def _reason(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        text = f"out of memory ({text}); lower `training.batch_size`, or give each trial a larger share of a GPU"
    return text
