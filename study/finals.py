"""Final runs: each method's published defaults and tuned configuration x seeds, test read once, to one table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from go4align.benchmarks.base import Benchmark
from go4align.checks import whole_number
from go4align.metrics import mean_ranks
from study.config import Configuration, FrozenFile, Reference, Seeds, digest
from study.scores import Metrics
from study.trial import Origin, Trial, TrialResult

_MOST_SEEDS = 1000
"""Far more than a standard error needs; every one is a training run of each configuration."""


@dataclass(frozen=True)
class Candidate:
    """A configuration that goes into the final table: one method's published defaults, or what tuning found."""

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
        median_change: median over metrics of the relative change (mean over seeds), percent.
        mean_rank: over the metrics, among the rows of the same origin.
        changes: relative change per `task/metric` (mean over seeds), percent.
        epoch_s: mean seconds an epoch.
    """

    candidate: Candidate
    seeds: int
    delta_m: float
    delta_m_se: float | None
    median_change: float
    mean_rank: float
    changes: Metrics
    epoch_s: float


@dataclass(frozen=True)
class FinalTable:
    """The rows, best tuned Delta m first, what Delta m is relative to, and the runs that gave nothing.

    Attributes:
        study: its name.
        reference: "measured" or "published".
        rows: one per candidate.
        families: task names by family of tasks.
        failed: id and reason of runs that failed.
    """

    study: str
    reference: str
    rows: tuple[FinalRow, ...]
    families: Mapping[str, Sequence[str]]
    failed: tuple[str, ...] = ()


def candidates(frozen: FrozenFile, published: Mapping[str, Configuration]) -> list[Candidate]:
    """For every method of `frozen`, its published defaults (where known) and its tuned configuration."""
    chosen = []
    for tuned in frozen.configurations:
        method = tuned.method.key
        if method in published:
            chosen.append(Candidate(method, "published", published[method]))
        plain = Configuration(benchmark=tuned.benchmark, method=tuned.method, training=tuned.training)
        chosen.append(Candidate(method, "tuned", plain))
    return chosen


def final_seeds(seeds: Seeds, count: int | None) -> list[int]:
    """The study's first `count` final seeds, continued upwards where it names fewer."""
    if count is None:
        return list(seeds.final)
    whole_number("--seeds", count, 1, _MOST_SEEDS)
    taken = {seeds.search, seeds.reference}
    upwards = (seed for seed in range(max(seeds.final) + 1, max(seeds.final) + count + 3) if seed not in taken)
    return [*seeds.final, *upwards][:count]


def final_trials(chosen: Sequence[Candidate], seeds: Sequence[int], reference: Reference) -> list[Trial]:
    """Candidates x seeds; a configuration that is both published and tuned is run once."""
    trials: dict[str, Trial] = {}
    for seed in seeds:
        for candidate in chosen:
            trial_id = final_id(candidate, seed, reference)
            trials.setdefault(
                trial_id,
                Trial(
                    id=trial_id,
                    stage="final",
                    configuration=candidate.configuration,
                    seed=seed,
                    origin=candidate.origin,
                    reference=reference.splits,
                    test=True,
                ),
            )
    return list(trials.values())


def final_id(candidate: Candidate, seed: int, reference: Reference) -> str:
    """Named by configuration, reference and seed, so that a run that is there already is found and not repeated."""
    decides = {key: value.model_dump(mode="json") for key, value in (("c", candidate.configuration), ("r", reference))}
    return f"final-{candidate.method}-{digest(decides)[:6]}-s{seed}"


def final_name(trials: Sequence[Trial]) -> str:
    """A short name for a set of final runs."""
    return digest({"trials": [trial.id for trial in trials]})[:8]


def final_table(
    study: str, benchmark: Benchmark, chosen: Sequence[Candidate], results: Mapping[str, TrialResult],
    seeds: Sequence[int], reference: Reference,
) -> FinalTable:  # fmt: skip
    """Aggregate the results (by trial id) over seeds."""
    finished = {c.key: _finished(c, results, seeds, reference) for c in chosen}
    ranks: dict[tuple[str, Origin], float] = {}
    for origin in ("published", "tuned"):
        ranks |= _ranks(benchmark, {key: runs for key, runs in finished.items() if key[1] == origin and runs})
    rows = [_row(benchmark, c, finished[c.key], ranks[c.key]) for c in chosen if finished[c.key]]
    tuned = {row.candidate.method: row.delta_m for row in rows if row.candidate.origin == "tuned"}
    rows.sort(key=lambda row: (tuned.get(row.candidate.method, float("inf")), row.candidate.origin))
    failed = tuple(f"{r.trial}: {r.reason}" for r in results.values() if r.status == "failed")
    return FinalTable(study, reference.source, tuple(rows), benchmark.families(), failed)


def _finished(
    candidate: Candidate, results: Mapping[str, TrialResult], seeds: Sequence[int], reference: Reference
) -> list[TrialResult]:
    found = [results.get(final_id(candidate, seed, reference)) for seed in seeds]
    return [result for result in found if result is not None and result.status == "finished"]


def _row(benchmark: Benchmark, candidate: Candidate, runs: Sequence[TrialResult], mean_rank: float) -> FinalRow:
    deltas = [run.metrics["test/delta_m"] for run in runs]
    changes = {key: statistics.fmean(run.metrics[f"test/{key}_change"] for run in runs) for key in benchmark.metrics()}
    return FinalRow(
        candidate,
        seeds=len(runs),
        delta_m=statistics.fmean(deltas),
        delta_m_se=statistics.stdev(deltas) / len(deltas) ** 0.5 if len(deltas) > 1 else None,
        median_change=statistics.median(changes.values()),
        mean_rank=mean_rank,
        changes=changes,
        epoch_s=statistics.fmean(run.metrics["epoch_s"] for run in runs),
    )


def _ranks(
    benchmark: Benchmark, runs: Mapping[tuple[str, Origin], Sequence[TrialResult]]
) -> dict[tuple[str, Origin], float]:
    directions = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    means = {
        method: {key: statistics.fmean(run.metrics[f"test/{key}"] for run in rs) for key in directions}
        for (method, _), rs in runs.items()
    }
    ranks = mean_ranks(means, directions)
    return {key: ranks[key[0]] for key in runs}
