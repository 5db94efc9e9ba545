"""Delta m against the number of groups, where final runs differ in nothing else (the paper's Figure 6)."""

from __future__ import annotations

import pandas as pd

from study.analysis.elbow import elbow
from study.report.figure import Figure, Points
from study.report.findings import Findings
from study.report.rows import lowest
from study.report.words import number


def figure(findings: Findings) -> Figure | None:
    """None where K is not all that tuned final runs differ in, or takes fewer than three values."""
    found = []
    for row in findings.tuned:
        options = dict(row.candidate.configuration.method.settings)
        k = options.pop("n_groups", None)
        if isinstance(k, int):
            rest = (row.candidate.configuration.method.name, str(sorted(options.items())))
            found.append((rest, row.candidate.configuration.training.lr, k, row))
    alike = {(rest, lr) for rest, lr, _, _ in found}
    if len(alike) != 1 or len(found) < 3:
        return None
    rows = [
        {"n_groups": k, "delta_m": row.delta_m, "se": row.delta_m_se or 0.0}
        for _, _, k, row in sorted(found, key=lambda one: one[2])
    ]
    frame = pd.DataFrame(rows).assign(low=lambda f: f["delta_m"] - f["se"], high=lambda f: f["delta_m"] + f["se"])
    best = lowest(frame, "delta_m")
    sentence = (
        f"All else fixed. The lowest Δm, {number(best['delta_m'])} %, is at K = {best['n_groups']:.0f}; the elbow of "
        "the curve, its point farthest from the line between its ends, at "
        f"K = {elbow(frame['n_groups'], frame['delta_m'])}."
    )
    marks = Points("n_groups", "delta_m", "", "number of groups K", "Δm ± standard error, %", "", False, "low", "high")
    return Figure("k-sweep", "Δm against the number of groups", sentence, frame, marks)
