"""Final runs: each method's defaults and tuned configuration x seeds, to one table and its CSV."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from go4align.benchmarks.base import Benchmark
from go4align.metrics import mean_ranks
from study.spec.configuration import BestFile, Configuration, Reference
from study.spec.run_sections import SINGLE_TASK
from study.spec.sections import digest
from study.spec.study_file import StudyFile
from study.trials.records import Origin
from study.trials.scores import Metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidate:
    """A configuration that goes into the final table: one method's defaults, or what tuning found."""

    method: str
    origin: Origin
    configuration: Configuration

    @property
    def key(self) -> tuple[str, Origin]:
        return self.method, self.origin


@dataclass(frozen=True)
class FinalRow:
    """One candidate over its seeds, on the test split.

    Attributes:
        candidate: what was run.
        seeds: how many runs finished.
        delta_m, delta_m_se: mean and standard error over seeds, percent; lower is better. The error is None for one
            seed.
        reference_se: what the reference's own error adds to that of Delta m, percent: it counts where Delta m is held
            against zero, and cancels between rows. None where the reference has one seed or is published.
        median_change: median over metrics of the relative change (mean over seeds), percent.
        mean_rank: over the metrics, among the rows of the same origin.
        changes: relative change per `task/metric` (mean over seeds), percent.
        epoch_s: mean seconds an epoch.
        peak_device_mib: the most memory on a GPU of any of the runs, MiB; None where none had one.
        runs: the trials' ids by seed.
    """

    candidate: Candidate
    seeds: int
    delta_m: float
    delta_m_se: float | None
    median_change: float
    mean_rank: float
    changes: Metrics
    epoch_s: float
    peak_device_mib: float | None = None
    reference_se: float | None = None
    runs: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FinalTable:
    """The rows, best tuned Delta m first, what Delta m is relative to, and the runs that gave nothing.

    Attributes:
        study: its name.
        reference: what Delta m is relative to, in a few words.
        rows: one per candidate.
        families: task names by family of tasks.
        failed: id and reason of runs that failed.
        reference_method: whose runs the reference is: "stl", or a method.
        budgets: of search and final runs, in words.
        data_note: what must be known of the data, such as that they are generated; or empty.
    """

    study: str
    reference: str
    rows: tuple[FinalRow, ...]
    families: Mapping[str, Sequence[str]]
    failed: tuple[str, ...] = ()
    reference_method: str = SINGLE_TASK
    budgets: str = ""
    data_note: str = ""

    @property
    def on_device(self) -> bool:
        """Whether any run's memory on a GPU was measured: tables have a column for it then."""
        return any(row.peak_device_mib is not None for row in self.rows)


def candidates(study: StudyFile, best: BestFile, defaults: Mapping[str, Configuration]) -> list[Candidate]:
    """For every method of `best`, its defaults (where known) and its tuned configuration, under the budget of the
    study's final runs."""
    chosen = []
    for tuned in best.configurations:
        method = tuned.method.key
        if method in defaults:
            chosen.append(Candidate(method, "default", study.budgeted(defaults[method], "final")))
        chosen.append(Candidate(method, "tuned", study.budgeted(tuned, "final")))
    return chosen


def final_id(candidate: Candidate, seed: int, reference: Reference) -> str:
    """Named by configuration, reference and seed, so that a run that is there already is found and not repeated."""
    decides = {"configuration": candidate.configuration.key, "reference": reference.model_dump(mode="json")}
    return f"final-{candidate.method}-{digest(decides)[:6]}-s{seed}"


def final_table(
    study: StudyFile,
    chosen: Sequence[Candidate],
    seeds: Sequence[int],
    reference: Reference,
    *,
    trials: pd.DataFrame,
    metrics: pd.DataFrame,
    tuned_with: str = "",
) -> FinalTable:
    """Aggregate final runs over seeds.

    Args:
        study: whose final runs.
        chosen: the candidates; one without a finished run has no row.
        seeds, reference: which runs of theirs count.
        trials, metrics: frames of the study, see `study.results.StoredStudy`.
        tuned_with: see `BestFile`.
    """
    benchmark = study.build_final_benchmark()
    ids = {c.key: [final_id(c, seed, reference) for seed in seeds] for c in chosen}
    ended = trials.set_index("trial")
    finished = ended[ended["status"] == "finished"]
    tested = metrics[(metrics["split"] == "test") & metrics["trial"].isin(finished.index)]
    named = tested.assign(key=(tested["task"] + "/" + tested["metric"]).str.removeprefix("/"))
    by_trial = partial(named.pivot, index="trial", columns="key")
    values, changes = by_trial(values="value"), by_trial(values="change")
    runs = {key: [trial for trial in wanted if trial in finished.index] for key, wanted in ids.items()}
    ranks: dict[tuple[str, Origin], float] = {}
    for origin in ("default", "tuned"):
        of_origin = {key: values.loc[found] for key, found in runs.items() if key[1] == origin and found}
        ranks |= _ranks(benchmark, of_origin)
    rows = [
        _row(benchmark, c, values.loc[found], changes.loc[found], finished.loc[found], ranks[c.key], reference)
        for c in chosen
        if (found := runs[c.key])
    ]
    tuned = {row.candidate.method: row.delta_m for row in rows if row.candidate.origin == "tuned"}
    rows.sort(key=lambda row: (tuned.get(row.candidate.method, float("inf")), row.candidate.origin))
    wanted = set().union(*ids.values())
    failed = ended[(ended["status"] == "failed") & ended.index.isin(wanted)]["reason"]
    reasons = tuple(f"{trial}: {reason}" for trial, reason in failed.items())
    return FinalTable(
        study.name,
        reference.described,
        tuple(rows),
        benchmark.families(),
        reasons,
        reference_method=reference.method,
        budgets=_budgets(study, tuned_with),
        data_note=benchmark.data_note,
    )


def _budgets(study: StudyFile, tuned_with: str) -> str:
    """Of search and final runs: epochs, and the options of the benchmark in which they differ."""
    if tuned_with:
        return f"tuned on {tuned_with}; final runs: {study.final_training.epochs} epochs of {study.name}"
    if study.final is None:
        return f"search and final runs: {study.training.epochs} epochs"
    data = ", ".join(f"{key} {json.dumps(value)}" for key, value in study.final.benchmark.items())
    final = f"{study.final_training.epochs} epochs" + (f" with {data}" if data else "")
    return f"search: {study.training.epochs} epochs; final runs: {final}"


def _row(
    benchmark: Benchmark,
    candidate: Candidate,
    values: pd.DataFrame,
    changes: pd.DataFrame,
    trials: pd.DataFrame,
    mean_rank: float,
    reference: Reference,
) -> FinalRow:
    """`values` and `changes` have a line per run, and a column per `task/metric`; `trials` has the runs themselves."""
    deltas = values["delta_m"].tolist()
    mean_changes = {key: statistics.fmean(changes[key]) for key in benchmark.metrics()}
    return FinalRow(
        candidate,
        seeds=len(deltas),
        delta_m=statistics.fmean(deltas),
        delta_m_se=statistics.stdev(deltas) / len(deltas) ** 0.5 if len(deltas) > 1 else None,
        median_change=statistics.median(mean_changes.values()),
        mean_rank=mean_rank,
        changes=mean_changes,
        epoch_s=statistics.fmean(trials["epoch_s"]),
        peak_device_mib=max(trials["peak_device_mib"].dropna(), default=None),
        reference_se=reference_error(benchmark, {key: float(values[key].mean()) for key in mean_changes}, reference),
        runs={int(seed): str(trial) for trial, seed in trials["seed"].items()},
    )


def reference_error(benchmark: Benchmark, values: Metrics, reference: Reference) -> float | None:
    """The standard error of Delta m that comes from the reference's, in percent, to first order.

    Delta m = 100 / n sum_k s_k (v_k - r_k) / r_k over n metrics, s_k = -1 where higher is better, changes by
    -100 / n s_k v_k / r_k^2 for each unit of r_k. What runs of one seed add is summed over the metrics that they gave
    together (a task's; or all, of a method's run), so that these may depend on each other; parts of different runs are
    independent, and their variances add.

    Args:
        benchmark: says which way is better.
        values: v by `task/metric`.
        reference: r, the mean of `runs`.
    """
    if len(reference.runs) < 2:
        return None
    metrics = benchmark.metrics()
    slopes = {
        key: (1.0 if metrics[key].higher_is_better else -1.0) * 100 / len(values) * value / reference.test[key] ** 2
        for key, value in values.items()
    }
    together = [list(values)]
    if reference.method == SINGLE_TASK:
        together = [[f"{task.name}/{metric.name}" for metric in task.metrics] for task in benchmark.tasks]
    parts = [[sum(slopes[key] * run[key] for key in keys) for run in reference.runs] for keys in together]
    return float(sum(statistics.variance(part) / len(part) for part in parts) ** 0.5)


def _ranks(benchmark: Benchmark, runs: Mapping[tuple[str, Origin], pd.DataFrame]) -> dict[tuple[str, Origin], float]:
    """Mean ranks among candidates of one origin, from their metrics' means over runs."""
    directions = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    means = {method: {key: statistics.fmean(values[key]) for key in directions} for (method, _), values in runs.items()}
    ranks = mean_ranks(means, directions)
    return {key: ranks[key[0]] for key in runs}


def main_csv(final: FinalTable) -> str:
    """The final table as CSV, a line per method and origin, for the study's parent run."""
    out = io.StringIO()
    writer = csv.writer(out)
    tasks = list(final.rows[0].changes) if final.rows else []
    columns = ["method", "origin", "delta_m", "delta_m_se", "reference_se", "median_change", "mean_rank", "epoch_s"]
    columns += [*(["peak_device_mib"] if final.on_device else []), "seeds"]
    writer.writerow([*columns, "configuration", *(f"{task}_change" for task in tasks)])
    for row in final.rows:
        numbers = [row.delta_m, row.delta_m_se, row.reference_se, row.median_change, row.mean_rank, row.epoch_s]
        numbers += [*([row.peak_device_mib] if final.on_device else []), row.seeds]
        configuration = row.candidate.configuration.model_dump_json()
        writer.writerow([*row.candidate.key, *numbers, configuration, *(row.changes[task] for task in tasks)])
    return out.getvalue()
