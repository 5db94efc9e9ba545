"""One trial: a frozen configuration and a seed in, a frozen result out. Works without Ray; Ray only wraps it."""

import math
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import SolverWarning, UserError
from go4align.metrics import delta_m
from go4align.training import Checkpoints, CheckpointWarning, EpochRecord, Monitor, Trainer
from go4align.weighting.registry import build_weighting
from study.config import BenchmarkSection, Configuration
from study.scores import Metrics, changes_against, split_metrics

Stage = Literal["reference", "search", "final"]
Origin = Literal["published", "proposed", "tuned"]
Status = Literal["finished", "stopped", "failed"]

ATTEMPTS = 3
"""How often a trial's process may die in one epoch before the trial counts as failed."""

SLOW_SAVE_S, SAVE_SHARE = 1.0, 0.05
"""A checkpoint that takes longer than this to write is followed by the next once they take at most this share of the
time."""

_MOST_WARNINGS = 20


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
        epochs, seconds: trained epochs, and the wall-clock seconds of those that count (not what a kill cost).
        reason: why it failed, one line; `details` holds the traceback.
        warnings: what solvers and checkpoints warned of, each once.
    """

    trial: str
    status: Status
    score: float | None = None
    metrics: Metrics = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    details: str = ""
    warnings: tuple[str, ...] = ()


def run_trial(
    trial: Trial,
    on_epoch: Callable[[EpochRecord], Any] = lambda _: None,
    *,
    device: str | None = None,
    threads: int = 1,
    checkpoints: Checkpoints | None = None,
) -> TrialResult:
    """Train one configuration; a failure is a result, never an exception.

    Args:
        trial: what to run.
        on_epoch: called after every epoch; a run that goes on from a checkpoint calls it for that epoch again.
        device: default CUDA where there is one.
        threads: torch's threads on a CPU; results depend on their number, so trials and single runs use one.
        checkpoints: where every epoch is kept, and where to go on from if there is any; default nowhere. On a CPU the
            result is, bit for bit, that of a run that was never interrupted.
    """
    torch.set_num_threads(threads)
    run = _Run(trial, checkpoints)
    with _collected(run.warnings):
        try:
            return run.train(on_epoch, device or ("cuda" if torch.cuda.is_available() else "cpu"))
        except Exception as error:  # whatever goes wrong in a trial is its result
            return run.failed(error)
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # a reused worker shares its GPU with others


class _Run:
    """A trial on its way from its start, or its last checkpoint, to its result."""

    def __init__(self, trial: Trial, checkpoints: Checkpoints | None) -> None:
        self.trial, self.checkpoints, self.warnings = trial, checkpoints, list[str]()
        self.place, self.metrics, self.epoch_s = "before training", Metrics(), list[float]()
        self._start, self._before_s = time.perf_counter(), 0.0
        self._next_save = self._start

    @property
    def seconds(self) -> float:
        return self._before_s + time.perf_counter() - self._start

    def train(self, on_epoch: Callable[[EpochRecord], Any], device: str) -> TrialResult:
        trial, trainer = self.trial, build_trainer(self.trial, device)
        if (last := self._resume(trainer)) is not None:
            on_epoch(last)
        self.place = f"epoch {trainer.epoch + 1}"
        for record in trainer.epochs():
            self._note(trainer, record)
            self._save(trainer, record)
            self.place = f"epoch {trainer.epoch + 1}"
            on_epoch(record)
        self.place = "test"
        if trial.test:
            self.metrics |= split_metrics(trainer.benchmark, "test", trainer.test(), trial.reference)
        self.metrics["epoch_s"] = statistics.median(self.epoch_s)
        notes = tuple(self.warnings)
        return TrialResult(
            trial.id, "finished", trainer.best, self.metrics, trainer.epoch, self.seconds, warnings=notes
        )

    def failed(self, error: Exception) -> TrialResult:
        return TrialResult(
            self.trial.id,
            "failed",
            epochs=len(self.epoch_s),
            seconds=self.seconds,
            reason=f"{self.place}: {_reason(error)}",
            details="".join(traceback.format_exception(error)),
            warnings=tuple(self.warnings),
        )

    def _note(self, trainer: Trainer, record: EpochRecord) -> None:
        if not math.isfinite(record.monitored):
            self.place = f"epoch {record.epoch}"
            pairs = zip(trainer.benchmark.task_names, record.val.losses, strict=True)
            bad = [task for task, loss in pairs if not math.isfinite(loss)]
            of = f" (tasks: {', '.join(bad)})" if bad else ""
            raise UserError(f"The validation score is {record.monitored}{of}: it diverged. Lower the learning rate.")
        self.epoch_s.append(record.wall_s)
        if record.epoch == trainer.best_epoch:
            self.metrics = split_metrics(trainer.benchmark, "val", record.val, self.trial.reference)

    def _save(self, trainer: Trainer, record: EpochRecord) -> None:
        """After every epoch, but less often on storage that is slow, as where many trials share it: see `SAVE_SHARE`.

        A disk that takes no checkpoint does not stop the training. A kill then costs more than one epoch.
        """
        began = time.perf_counter()
        if self.checkpoints is None or began < self._next_save:
            return
        ours = {"metrics": self.metrics, "epoch_s": self.epoch_s, "seconds": self.seconds, "record": asdict(record)}
        try:
            self.checkpoints.save(record.epoch, {"trainer": trainer.state_dict(), **ours})
        except OSError as error:
            warnings.warn(CheckpointWarning(f"No checkpoint can be written: {error}."), stacklevel=2)
        took = time.perf_counter() - began
        self._next_save = began + took / SAVE_SHARE if took > SLOW_SAVE_S else began

    def _resume(self, trainer: Trainer) -> EpochRecord | None:
        """Go on from the newest checkpoint; returns its epoch's record, which the driver may not have heard of."""
        if self.checkpoints is None:
            return None
        state, record = self.checkpoints.load(), None
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.metrics, self.epoch_s, self._before_s = state["metrics"], state["epoch_s"], state["seconds"]
            record = EpochRecord.from_dict(state["record"])
        self.place = f"epoch {trainer.epoch + 1}"
        if self._attempt(trainer.epoch) > ATTEMPTS:
            raise UserError(
                f"The trial's process died {ATTEMPTS} times in this epoch, for want of memory or with its node. Lower "
                "`training.batch_size`, or run fewer trials at once by a larger share of CPU or GPU in `resources`."
            )
        return record

    def _attempt(self, epoch: int) -> int:
        try:
            return self.checkpoints.attempt(epoch) if self.checkpoints else 1
        except OSError:  # a full disk, which the driver will notice
            return 1


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


@contextmanager
def _collected(notes: list[str]) -> Iterator[None]:
    """Collect what solvers and checkpoints warn of, the first `_MOST_WARNINGS`; other warnings go their usual way."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, (SolverWarning, CheckpointWarning)):
                usual(message, category, *where, **more)
            elif len(notes) < _MOST_WARNINGS and str(message) not in notes:
                notes.append(str(message))

        for category in (SolverWarning, CheckpointWarning):
            warnings.simplefilter("default", category)
        warnings.showwarning = note
        yield


def _reason(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        text = f"out of memory ({text}); lower `training.batch_size`, or give each trial a larger share of a GPU"
    return text
