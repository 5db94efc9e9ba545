"""Who pays: every task's change under every method, against single tasks and against a plain sum."""

from __future__ import annotations

import pandas as pd

from go4align.metrics import relative_changes
from study.report.figure import Figure, Grid, Heat, Section
from study.report.findings import Findings
from study.report.rows import highest, lowest
from study.report.words import number
from study.results import FinalRow
from study.results.times import PLAIN_SUM


def section(findings: Findings) -> Section | None:
    """None without final runs."""
    if findings.table is None or not findings.tuned:
        return None
    against = findings.table.reference_method
    changes = {row.candidate.method: dict(row.changes) for row in findings.tuned}
    parts: list[Grid | Figure] = [_figure("changes", against, changes), _extremes(against, changes)]
    if against != PLAIN_SUM and (sums := _against_plain_sum(findings)):
        parts += [_figure("changes-ls", PLAIN_SUM, sums), _extremes(PLAIN_SUM, sums)]
    why = "A mean over tasks hides trades: one task's gain may be another's loss."
    return Section("tradeoffs", "Who pays for it", [why], parts)


def _against_plain_sum(findings: Findings) -> dict[str, dict[str, float]]:
    """Changes of every other method against the plain sum's means over seeds."""
    means = {row.candidate.method: _means(findings, row) for row in findings.tuned}
    plain = means.pop(PLAIN_SUM, None)
    if plain is None or not all(plain.values()):
        return {}
    directions = {key: metric.higher_is_better for key, metric in findings.benchmark.metrics().items()}
    return {method: relative_changes(values, plain, directions) for method, values in means.items()}


def _means(findings: Findings, row: FinalRow) -> dict[str, float]:
    values = findings.tested.loc[list(row.runs.values())].mean()
    return {key: float(values[key]) for key in findings.benchmark.metrics()}


def _figure(key: str, against: str, changes: dict[str, dict[str, float]]) -> Figure:
    rows = [
        {"method": method, "metric": metric, "change": change}
        for method, of_method in changes.items()
        for metric, change in of_method.items()
    ]
    frame = pd.DataFrame(rows)
    best, worst = lowest(frame, "change"), highest(frame, "change")
    sentence = (
        f"Blue is better than {against}, red worse. The largest gain is {best['metric']} under {best['method']} "
        f"({best['change']:+.0f} %), the largest loss {worst['metric']} under {worst['method']} "
        f"({worst['change']:+.0f} %). Colours end where 95 % of the changes do."
    )
    marks = Heat("metric", "method", "change", "change, %", centred=True)
    return Figure(key, f"Change of every metric against {against}, tuned", sentence, frame, marks)


def _extremes(against: str, changes: dict[str, dict[str, float]]) -> Grid:
    cells = []
    for method, of_method in changes.items():
        values = pd.Series(of_method)
        better, worse = int((values < 0).sum()), int((values > 0).sum())
        ends = [f"{values.idxmin()} ({values.min():+.1f})", f"{values.idxmax()} ({values.max():+.1f})"]
        cells.append([method, *ends, str(better), str(worse), number(values.median())])
    heads = ["method", "best metric (%)", "worst metric (%)", "better", "worse", "median %"]
    return Grid(f"Metrics better and worse than {against}", heads, cells, names=3)
