"""What Delta m is relative to: published numbers, or runs of single tasks or one method under a stage's own budget.

A measured reference is found in the tracking store where some study has measured it, and trained where none has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import TypeVar

from go4align.benchmarks.base import Benchmark
from go4align.errors import RunFailedError
from go4align.metrics import delta_m, relative_changes
from study.spec.configuration import Configuration, MethodSection, Reference
from study.spec.run_sections import SINGLE_TASK
from study.spec.sections import digest
from study.spec.study_file import Budgeted, StudyFile
from study.trials.records import Trial, TrialResult
from study.trials.scores import Metrics

RunTrials = Callable[[Sequence[Trial]], list[TrialResult]]
_K = TypeVar("_K")
FindMetrics = Callable[[Sequence[str]], Mapping[str, Metrics]]


@dataclass(frozen=True)
class Unit:
    """What one run of the reference measures: a task alone, or all tasks of a method.

    Attributes:
        name: the task's, or the method's.
        method: how it is trained.
        metrics: the `task/metric` that it gives.
    """

    name: str
    method: MethodSection
    metrics: tuple[str, ...]


def published_reference(benchmark: Benchmark) -> Reference:
    """The published single-task numbers, for both splits."""
    published = benchmark.published_stl()
    return Reference(source="published", val=published, test=published, note=benchmark.published_source)


def measured_reference(
    study: StudyFile, benchmark: Benchmark, find: FindMetrics, run: RunTrials, stage: Budgeted = "search"
) -> Reference:
    """The reference of a stage, from the tracking store where it is, trained where it is not.

    The learning rate of each unit is the best of those that the study names, by validation under the search's budget
    with the first reference seed. The search's reference is that run; that of final runs is the mean over all reference
    seeds, under the budget of the final runs.

    Args:
        study, benchmark: what to measure.
        find: looks finished reference runs up, all at once, and returns metrics by `reference_key`, without those that
            it does not find.
        run: trains the missing ones.
        stage: whose budget.

    Raises:
        RunFailedError: a reference run failed, or measured 0 somewhere, so that Delta m would have no reference.
    """
    units = _units(study, benchmark)
    lrs = study.reference_lrs
    first, *_ = seeds = study.seeds.references
    chosen = dict.fromkeys((unit.name for unit in units), lrs[0])
    searched: dict[tuple[str, float], Metrics] = {}
    if stage == "search" or len(lrs) > 1:
        trials = {(unit.name, lr): _trial(study, unit, "search", lr, first) for unit, lr in product(units, lrs)}
        searched = _measured(trials, find, run)
        chosen = {unit.name: _best_lr(benchmark, unit, lrs, searched) for unit in units}
    if stage == "search":
        runs = [{unit.name: searched[unit.name, chosen[unit.name]] for unit in units}]
    else:
        final = {(u.name, seed): _trial(study, u, "final", chosen[u.name], seed) for u, seed in product(units, seeds)}
        measured = _measured(final, find, run)
        runs = [{unit.name: measured[unit.name, seed] for unit in units} for seed in seeds]
    splits = {split: [_of_units(units, split, one) for one in runs] for split in ("val", "test")}
    means = {split: _means(measured) for split, measured in splits.items()}
    _check_nonzero(means)
    return Reference(
        source="measured",
        method=study.reference_method,
        val=means["val"],
        test=means["test"],
        runs=splits["test"] if len(runs) > 1 else [],
        lrs=chosen,
        searched_lrs=len(lrs),
    )


def reference_keys(study: StudyFile, benchmark: Benchmark) -> list[str]:
    """The keys of all runs that a study's reference may be made of."""
    every = product(_units(study, benchmark), ("search", "final"), study.reference_lrs, study.seeds.references)
    trials = [_trial(study, unit, stage, lr, seed) for unit, stage, lr, seed in every]  # type: ignore[arg-type]
    return [reference_key(trial.configuration, trial.seed) for trial in trials]


def reference_key(configuration: Configuration, seed: int) -> str:
    """Names a reference run by all that decides its result: its configuration, the task among it, and its seed."""
    return digest({"configuration": configuration.key, "seed": seed})


def _units(study: StudyFile, benchmark: Benchmark) -> list[Unit]:
    if study.reference_method != SINGLE_TASK:
        method = study.method(study.reference_method)
        return [Unit(study.reference_method, method, tuple(benchmark.metrics()))]
    return [
        Unit(
            task.name,
            MethodSection(name=SINGLE_TASK, task=number),
            tuple(f"{task.name}/{metric.name}" for metric in task.metrics),
        )
        for number, task in enumerate(benchmark.tasks)
    ]


def _trial(study: StudyFile, unit: Unit, stage: Budgeted, lr: float, seed: int) -> Trial:
    plain = Configuration(benchmark=study.benchmark, method=unit.method, training=study.training)
    configuration = study.budgeted(plain, stage, lr=lr)
    return Trial(
        id=f"reference-{unit.name}-{reference_key(configuration, seed)[:6]}",
        stage="reference",
        configuration=configuration,
        seed=seed,
        origin="reference",
        test=True,
    )


def _measured(trials: Mapping[_K, Trial], find: FindMetrics, run: RunTrials) -> dict[_K, Metrics]:
    """The metrics of every trial, found or trained."""
    keys = {reference_key(trial.configuration, trial.seed): trial for trial in trials.values()}
    found = find(list(keys))
    known = {trial.id: found[key] for key, trial in keys.items() if key in found}
    missing = [trial for trial in keys.values() if trial.id not in known]
    for result in run(missing) if missing else []:
        if result.status != "finished":
            raise RunFailedError(f"The single-task reference run {result.trial} failed: {result.reason}")
        known[result.trial] = result.metrics
    for trial in trials.values():
        if trial.id not in known:
            raise RunFailedError(f"The single-task reference run {trial.id} gave no result. Run the command again.")
    return {key: known[trial.id] for key, trial in trials.items()}


def _best_lr(
    benchmark: Benchmark, unit: Unit, lrs: Sequence[float], measured: Mapping[tuple[str, float], Metrics]
) -> float:
    """The learning rate with the lowest mean change of the unit's validation metrics against the first one's."""
    directions = {key: benchmark.metrics()[key].higher_is_better for key in unit.metrics}
    values = {lr: {key: measured[unit.name, lr][f"val/{key}"] for key in unit.metrics} for lr in lrs}
    against = {key: value or 1.0 for key, value in values[lrs[0]].items()}  # 0: no change is relative to it
    return min(lrs, key=lambda lr: delta_m(relative_changes(values[lr], against, directions)))


def _of_units(units: Sequence[Unit], split: str, run: Mapping[str, Metrics]) -> Metrics:
    return {key: run[unit.name][f"{split}/{key}"] for unit in units for key in unit.metrics}


def _check_nonzero(means: Mapping[str, Metrics]) -> None:
    """No change is relative to 0: better said once, before the search, than by every trial at its end."""
    zero = [f"{split}/{key}" for split, metrics in means.items() for key, value in metrics.items() if value == 0]
    if zero:
        more = f" (and {len(zero) - 1} more)" if len(zero) > 1 else ""
        raise RunFailedError(
            f"The reference must not be 0, found that of '{zero[0]}'{more}: no change is relative to it. Train it "
            "longer (`training.epochs`), on more data, or take another `reference`."
        )


def _means(runs: Sequence[Metrics]) -> Metrics:
    return {key: fmean(run[key] for run in runs) for key in runs[0]}
