"""One process's part of a trial: all of it, unless several train together."""

import math
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import SolverWarning, UserError
from go4align.training import Checkpoints, CheckpointWarning, EpochRecord, Trainer, monitor_of
from go4align.weighting.registry import build_weighting
from study.spec.complaints import explain
from study.spec.configuration import BenchmarkSection
from study.trials.memory import PeakMemory
from study.trials.networks import write_network
from study.trials.records import Trial, TrialResult
from study.trials.scores import split_metrics

ATTEMPTS = 3
"""How often a trial's process may die in one epoch before the trial counts as failed."""

SLOW_SAVE_S = 1.0
SAVE_SHARE = 0.05
"""A checkpoint that takes longer than this to write is followed by the next once they take at most this share of the
time."""

_MOST_WARNINGS = 20


def run_alone(
    trial: Trial,
    on_epoch: Callable[[EpochRecord], Any],
    *,
    device: str,
    threads: int,
    checkpoints: Checkpoints | None,
    network: Path | None,
) -> TrialResult:
    """Train one configuration in this process, or this process's part of it; see `study.trials.run.run_trial`."""
    torch.set_num_threads(threads)
    run = _Run(trial, checkpoints, network, PeakMemory(device))
    with _collected(run.warnings):
        try:
            return run.train(on_epoch, device)
        except Exception as error:  # whatever goes wrong in a trial is its result
            return run.failed(error)
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # a reused worker shares its GPU with others


class _Run:
    """A trial on its way from its start, or its last checkpoint, to its result."""

    def __init__(self, trial: Trial, checkpoints: Checkpoints | None, network: Path | None, memory: PeakMemory) -> None:
        self.trial = trial
        self.checkpoints = checkpoints
        self.network = network
        self.memory = memory
        self.warnings: list[str] = []
        self.place = "before training"
        self.epoch_s: list[float] = []
        self._start = time.perf_counter()
        self._before_s = 0.0
        self._next_save = self._start

    @property
    def seconds(self) -> float:
        return self._before_s + time.perf_counter() - self._start

    def train(self, on_epoch: Callable[[EpochRecord], Any], device: str) -> TrialResult:
        trial = self.trial
        trainer = build_trainer(trial, device)
        if (last := self._resume(trainer)) is not None:
            on_epoch(last)
        self.place = f"epoch {trainer.epoch + 1}"
        for told in trainer.epochs():
            record = replace(told, peak_host_mib=self.memory.host_mib, peak_device_mib=self.memory.device_mib)
            self._note(trainer, record)
            self._save(trainer, record)
            self.place = f"epoch {trainer.epoch + 1}"
            on_epoch(record)
        self.place = "test"
        metrics = split_metrics(trainer.benchmark, "val", trainer.selected.validation(), trial.reference)
        if trial.test:
            metrics |= split_metrics(trainer.benchmark, "test", trainer.test(), trial.reference)
        metrics["epoch_s"] = statistics.median(self.epoch_s)
        kept = self.network if trial.keep_network else None
        network_mib = write_network(trainer, trial, kept) if kept else None
        return TrialResult(
            trial.id,
            "finished",
            score=trainer.selected.value,
            metrics=metrics,
            epochs=trainer.epoch,
            seconds=self.seconds,
            warnings=tuple(self.warnings),
            peak_host_mib=self.memory.host_mib,
            peak_device_mib=self.memory.device_mib,
            network_mib=network_mib,
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
            peak_host_mib=self.memory.host_mib,
            peak_device_mib=self.memory.device_mib,
        )

    def _note(self, trainer: Trainer, record: EpochRecord) -> None:
        if not math.isfinite(record.monitored):
            self.place = f"epoch {record.epoch}"
            pairs = zip(trainer.benchmark.task_names, record.val.losses, strict=True)
            bad = [task for task, loss in pairs if not math.isfinite(loss)]
            of = f" (tasks: {', '.join(bad)})" if bad else ""
            raise UserError(f"The validation score is {record.monitored}{of}: it diverged. Lower the learning rate.")
        self.epoch_s.append(record.wall_s)

    def _save(self, trainer: Trainer, record: EpochRecord) -> None:
        """After every epoch, but less often on storage that is slow, as where many trials share it: see `SAVE_SHARE`.

        A disk that takes no checkpoint does not stop the training. A kill then costs more than one epoch.
        """
        began = time.perf_counter()
        if self.checkpoints is None or began < self._next_save:
            return
        ours = {"epoch_s": self.epoch_s, "seconds": self.seconds, "record": asdict(record)}
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
        state = self.checkpoints.load()
        record = None
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.epoch_s = state["epoch_s"]
            self._before_s = state["seconds"]
            record = EpochRecord.from_dict(state["record"])
            self.memory.add_earlier(record.peak_host_mib, record.peak_device_mib)
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
    training = configuration.training
    task = method.options.get("task")  # of a single-task run, which is watched by that task
    return Trainer(
        benchmark,
        lambda: build_weighting(
            method.name, n_tasks=benchmark.n_tasks, task_names=benchmark.task_names, **method.options
        ),
        training,
        seed=trial.seed,
        monitor=monitor_of(training.selection_rule.metric, benchmark, trial.reference.get("val"), task),
        device=device,
        test=trial.test,
    )


@lru_cache(maxsize=1)
def _benchmark(section: str) -> Benchmark:
    """The benchmark of the last trial, kept so that a reused worker reads its data once; it holds no trial's state."""
    parsed = BenchmarkSection.model_validate_json(section)
    benchmark = build_benchmark(parsed.name, **parsed.options)
    benchmark.prepare()
    parsed.with_data(benchmark)
    return benchmark


def refusal(trial: Trial) -> str | None:
    """Why this machine cannot train a trial: without its data or method, or with other ones; None where it can."""
    try:
        _benchmark(trial.configuration.benchmark.model_dump_json())
        trial.configuration.method.check_provenance()
    except ValidationError as error:  # a benchmark that this machine does not know
        return explain(error, BenchmarkSection)
    except UserError as error:
        return str(error)
    return None


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
