"""A study that nobody trained: real proposals, references, final runs and records, errors by a made-up law.

For what reads studies: reports of many trials and tasks within seconds.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from go4align.benchmarks.base import Benchmark
from go4align.training import EpochRecord, Evaluation, StepSummary
from study import open_study
from study.results import candidates
from study.search import OptunaSearch
from study.spec import SearchSpace, StudyFile, digest, load_space
from study.stages.final import final_seeds, final_trials
from study.tracking import JournalTracker
from study.trials.records import Trial, TrialResult
from study.trials.reference import measured_reference
from study.trials.scores import split_metrics


def write_study(
    study: StudyFile, uri: str, folder: Path, *, finals: int = 3, stop_every: int = 5, fail_every: int = 0
) -> None:
    """Write a finished study to a store.

    Args:
        study: what was studied; every trial "trains" as long as it says.
        uri: the store.
        folder: for Optuna's journal.
        finals: how many final seeds; 0 for none.
        stop_every, fail_every: every so many search trials is stopped after two epochs, or fails; 0 for none.
    """
    benchmark = study.build_benchmark()
    space = load_space(study, benchmark)
    maker = _Maker(study, benchmark, _tracker(study, uri, space))
    reference = measured_reference(study, benchmark, lambda keys: {}, maker.run)
    search = OptunaSearch(study, space, reference, folder / "optuna.log")
    number = 0
    while trial := search.next():
        number += 1
        status = "failed" if fail_every and number % fail_every == 0 else ""
        status = status or ("stopped" if stop_every and number % stop_every == 0 else "finished")
        search.finish(trial, maker.train(trial, status))
    maker.tracker.close("finished", timeout_s=600)
    if finals:
        stored = open_study(study.name, uri)
        chosen = candidates(study, stored.best(), stored.defaults())
        again = _Maker(study, benchmark, _tracker(study, uri, space, stored.study_run))
        again.run(final_trials(chosen, final_seeds(study.seeds, finals), reference))
        again.tracker.close("finished", timeout_s=600)


def _tracker(study: StudyFile, uri: str, space: SearchSpace, study_run: str | None = None) -> JournalTracker:
    options = {"study_run": study_run} if study_run else {}
    tracker = JournalTracker(study, uri, space_hash=digest(space), notify=lambda text: None, **options)
    tracker.open()
    return tracker


class _Maker:
    """Makes results up: errors grow with the distance of the learning rate from 5e-3, are lower for methods with
    balanced weights, and differ a little by seed; tasks share the network's room as their weights say."""

    def __init__(self, study: StudyFile, benchmark: Benchmark, tracker: JournalTracker) -> None:
        self._study = study
        self._benchmark = benchmark
        self.tracker = tracker

    def run(self, trials: Sequence[Trial]) -> list[TrialResult]:
        return [self.train(trial) for trial in trials]

    def train(self, trial: Trial, status: str = "finished") -> TrialResult:
        self.tracker.start(trial)
        if status == "failed":
            result = TrialResult(trial.id, "failed", reason="epoch 1: the loss of task 'task0' is nan")
            self.tracker.finish(trial.id, result)
            return result
        epochs = 2 if status == "stopped" else trial.configuration.training.epochs
        best = math.inf
        record = None
        for epoch in range(1, epochs + 1):
            record = self._record(trial, epoch, best)
            best = record.best
            self.tracker.log(trial.id, record)
        assert record is not None
        metrics: dict[str, float] = {"epoch_s": record.wall_s}
        if status == "finished":
            for split in ("val", "test") if trial.test or trial.stage == "reference" else ("val",):
                metrics |= split_metrics(self._benchmark, split, record.val, trial.reference)
        result = TrialResult(trial.id, status, best, metrics, epochs, epochs * record.wall_s)  # type: ignore[arg-type]
        self.tracker.finish(trial.id, result)
        return result

    def _record(self, trial: Trial, epoch: int, best: float) -> EpochRecord:
        method, m = trial.configuration.method, self._benchmark.n_tasks
        task = method.options.get("task")
        random = np.random.default_rng([trial.seed, epoch, len(trial.id)])
        groups = self._groups(trial, epoch)
        off = abs(math.log10(trial.configuration.training.lr / 5e-3))
        unfair = 0.1 if groups is not None else 0.0 if task is not None else 0.4
        scale = 10.0 ** (np.arange(m) % 5 - 2)
        level = 1 + 0.3 * off + unfair * np.linspace(0, 1, m) + 0.03 * random.standard_normal(m)
        losses = tuple((scale * level * (1 + np.exp(-epoch / (2 + np.arange(m) % 4)))).tolist())
        metrics = self._metrics(losses)
        weights = tuple((1.0 / scale).tolist()) if groups is not None else (1.0,) * m
        train = StepSummary(losses, weights)
        if groups is not None:
            together = tuple(tuple(float(a == b) for b in groups) for a in groups)
            train = StepSummary(losses, weights, groups, weights, together)
        val = Evaluation(losses, metrics)
        monitored = math.fsum(losses) / m
        if "val" in trial.reference:
            monitored = split_metrics(self._benchmark, "val", val, trial.reference)["val/delta_m"]
        best = min(best, monitored)
        return EpochRecord(epoch, trial.configuration.training.lr, 0.25, train, val, monitored, best)

    def _metrics(self, losses: Sequence[float]) -> dict[str, float]:
        """An error is the loss, a score falls from 1 with it."""
        found = {}
        for task, loss in zip(self._benchmark.tasks, losses, strict=True):
            for metric in task.metrics:
                found[f"{task.name}/{metric.name}"] = 1 / (1 + loss) if metric.higher_is_better else loss
        return found

    def _groups(self, trial: Trial, epoch: int) -> tuple[int, ...] | None:
        settings = trial.configuration.method.settings
        if "n_groups" not in settings:
            return None
        m = self._benchmark.n_tasks
        k = settings["n_groups"]
        k = min(m, 2 + epoch % 2 if k == "auto" else int(k))
        return tuple((np.arange(m) * k // m).tolist())
