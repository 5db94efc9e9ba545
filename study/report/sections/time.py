"""What the methods cost in time and memory."""

from __future__ import annotations

import shlex

import pandas as pd

from study.report.figure import Bars, Figure, Grid, Points, Section
from study.report.findings import Findings
from study.report.rows import highest
from study.report.words import number
from study.results.times import PLAIN_SUM

_MEASURED = "measured one method at a time, in turns, by `study time`"


def section(findings: Findings) -> Section | None:
    """None without final runs and without measured times."""
    if findings.stored.times:
        return _measured(findings)
    if not findings.tuned:
        return None
    plain = next((row.epoch_s for row in findings.tuned if row.candidate.method == PLAIN_SUM), None)
    whom = PLAIN_SUM if plain else "the fastest"
    against = plain or min(row.epoch_s for row in findings.tuned)
    rows = [
        {"method": row.candidate.method, "epoch_s": row.epoch_s, "relative": row.epoch_s / against}
        for row in findings.tuned
    ]
    caution = (
        "These seconds are not comparable: they are of trials that shared a machine, and so measure what ran beside "
        f"them, too. `study time {shlex.quote(findings.stored.name)}` measures one method at a time."
    )
    return Section("time", "Time", [caution], _figures(findings, pd.DataFrame(rows), whom))


def _measured(findings: Findings) -> Section:
    times = findings.stored.times
    rows = [
        {"method": one.method, "epoch_s": one.epoch_s, "relative": one.ratio, "low": one.low, "high": one.high}
        for one in times
    ]
    cells = [
        [
            one.method,
            f"{one.epoch_s:.3g}",
            number(one.ratio, 2),
            f"{number(one.low, 2)} to {number(one.high, 2)}",
            number(one.host_mib, 0),
            number(one.device_mib, 0),
        ]
        for one in times
    ]
    heads = ["method", "s/epoch", f"/ {times[0].against}", "smallest to largest", "host MiB", "GPU MiB"]
    caption = f"Medians of {times[0].epochs} epochs, validation included, {_MEASURED}; memory: the most of its process."
    table = Grid("Seconds and memory of each method", heads, cells, caption)
    return Section("time", "Time", [], [table, *_figures(findings, pd.DataFrame(rows), times[0].against)])


def _figures(findings: Findings, frame: pd.DataFrame, whom: str) -> list[Figure]:
    slowest = highest(frame, "relative")
    sentence = f"{slowest['method']} takes {number(slowest['relative'], 2)} times the seconds of {whom} an epoch."
    low, high = ("low", "high") if "low" in frame else ("", "")
    bars = Bars("method", "relative", f"seconds an epoch / {whom}", low=low, high=high)
    figures = [Figure("runtime", "Seconds an epoch", sentence, frame.sort_values("relative"), bars)]
    delta_m = {row.candidate.method: row.delta_m for row in findings.tuned}
    both = frame[frame["method"].isin(delta_m)].assign(delta_m=lambda f: f["method"].map(delta_m))
    if len(both):
        points = Points("relative", "delta_m", "", f"seconds an epoch / {whom}", "Δm, %", "method", labelled=True)
        title = "Performance against training time"
        figures.append(Figure("time", title, f"{sentence} Left and low is better.", both, points))
    return figures
