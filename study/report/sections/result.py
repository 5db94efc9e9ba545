"""The result table over final seeds, and how sure its order is."""

from __future__ import annotations

import statistics
from itertools import product

import pandas as pd

from study.analysis.intervals import MIN_SEEDS, compare, mean_interval
from study.report.figure import Bars, Figure, Grid, Heat, Section
from study.report.findings import Findings
from study.report.words import listed, number, seeds, verdict
from study.results import FinalRow, FinalTable


def section(findings: Findings) -> Section:
    """Tables and figures of final runs; a sentence where there are none."""
    table = findings.table
    if table is None:
        return Section("results", "Results", [findings.no_table])
    parts: list[Grid | Figure] = [_main(findings, table)]
    if findings.tuned:
        parts.append(_delta_m(findings))
    if len(findings.tuned) > 1:
        parts.append(_wins(findings))
    parts.append(_per_metric(findings, table))
    return Section("results", "Results on the test split", _what_it_says(findings, table), parts)


def _what_it_says(findings: Findings, table: FinalTable) -> list[str]:
    definition = (
        f"Δm is the mean over {len(findings.benchmark.metrics())} metrics of the relative change of the test metric "
        f"against {table.reference_method} ({table.reference}), in percent, signed so that lower is better; "
        f"{table.budgets}."
    )
    sentences = [definition]
    if table.data_note:
        sentences.append(f"Data: {table.data_note}.")
    fewest = min((row.seeds for row in table.rows), default=0)
    if fewest < MIN_SEEDS:
        sentences.append(
            f"With {seeds(fewest)}, no order of two methods can be called decided, however far apart their means are: "
            f"at least {MIN_SEEDS} are needed (`study final {findings.stored.name} --seeds {2 * MIN_SEEDS}`). The "
            "intervals show how far seeds move a mean; from three seeds one holds the true mean in 76 of 100 cases."
        )
    if table.failed:
        sentences.append(f"Failed final runs: {listed(table.failed)}.")
    return sentences


def _main(findings: Findings, table: FinalTable) -> Grid:
    rows = [*findings.tuned, *(row for row in table.rows if row.candidate.origin == "default")]
    columns = ["method", "configuration", "Δm %", "95 % interval", "median %", "mean rank", "better", "worse"]
    cells = [_main_cells(findings, row) for row in rows]
    return Grid(
        "Methods over the final seeds",
        [*columns, "s/epoch", "seeds"],
        cells,
        "Δm: mean over seeds; interval: expanded percentile bootstrap over seeds; median: over metrics; mean rank: "
        "among configurations of one kind; better, worse: metrics below and above the reference; s/epoch: while trials "
        "shared their machine, not comparable.",
        names=2,
    )


def _main_cells(findings: Findings, row: FinalRow) -> list[str]:
    found = mean_interval(list(findings.by_seed(row).values()))
    span = "-" if row.seeds < 2 else f"{number(found.low)} to {number(found.high)}"
    better = sum(change < 0 for change in row.changes.values())
    worse = sum(change > 0 for change in row.changes.values())
    origin = "published defaults" if row.candidate.origin == "default" else "tuned"
    middle = [number(row.delta_m), span, number(row.median_change), number(row.mean_rank, 2), str(better), str(worse)]
    return [row.candidate.method, origin, *middle, number(row.epoch_s, 2), str(row.seeds)]


def _delta_m(findings: Findings) -> Figure:
    rows = []
    for row in findings.tuned:
        found = mean_interval(list(findings.by_seed(row).values()))
        rows.append({"method": row.candidate.method, "delta_m": found.mean, "low": found.low, "high": found.high})
    best, *others = findings.tuned
    sentence = f"{best.candidate.method} has the lowest mean Δm, {number(best.delta_m)} %."
    if others:
        second = compare(findings.by_seed(best), findings.by_seed(others[0]))
        sentence += f" Against the next, {verdict(second, best.candidate.method, others[0].candidate.method)}."
    marks = Bars("method", "delta_m", "Δm on the test split, %", low="low", high="high")
    return Figure("delta_m", "Δm of the tuned methods", sentence, pd.DataFrame(rows), marks)


def _wins(findings: Findings) -> Figure:
    rows, decided, pairs = [], 0, 0
    for first, second in product(findings.tuned, repeat=2):
        if first is second:
            share = float("nan")
        else:
            found = compare(findings.by_seed(first), findings.by_seed(second))
            share = found.probability
            pairs += 1
            decided += found.outcome() in {"better", "worse"}
        rows.append({"method": first.candidate.method, "other": second.candidate.method, "probability": share})
    sentence = (
        f"Share of seeds in which the method at the left has the lower Δm, paired by seed, ties counting half; "
        f"{decided // 2} of {pairs // 2} pairs are decided."
    )
    marks = Heat("method", "other", "probability", "share of seeds", limits=(0.0, 1.0), written=True)
    return Figure("wins", "How often one method beats another", sentence, pd.DataFrame(rows), marks)


def _per_metric(findings: Findings, table: FinalTable) -> Grid:
    metrics = findings.benchmark.metrics()
    rows = findings.tuned or list(table.rows)
    reference = findings.reference()
    cells = []
    for key, metric in metrics.items():
        values = [_with_error(list(findings.by_seed(row, key).values())) for row in rows]
        unit = f" ({metric.unit})" if metric.unit else ""
        better = "higher" if metric.higher_is_better else "lower"
        single = "-" if reference is None else f"{reference.test[key]:.4g}"
        cells.append([f"{key}{unit}", better, single, *values])
    heads = ["metric", "better", table.reference_method, *(row.candidate.method for row in rows)]
    caption = "Mean ± standard error over seeds of the tuned configurations."
    return Grid("Every metric", heads, cells, caption, names=2)


def _with_error(values: list[float]) -> str:
    """Mean and standard error, as tables have them."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.4g}"
    return f"{mean:.4g} ± {statistics.stdev(values) / len(values) ** 0.5:.2g}"
