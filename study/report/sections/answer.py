"""The answer first: what was found, in a few sentences, and what to do next."""

from __future__ import annotations

import shlex

from study.analysis.intervals import MIN_SEEDS, compare
from study.report.figure import Section
from study.report.findings import Findings
from study.report.sections.search import edge_warnings, space_of
from study.report.words import listed, number, seeds, verdict
from study.results import FinalRow


def section(findings: Findings) -> Section:
    """Best method, what tuning gained, whether grouping helped, what to run next."""
    sentences = [*_best(findings), *_tuning(findings), *_grouping(findings), f"Next: {_next(findings)}"]
    return Section("answer", "The answer", sentences)


def _best(findings: Findings) -> list[str]:
    rows = findings.tuned
    if not rows:
        return [findings.no_table or "No final run of a tuned configuration has finished yet."]
    assert findings.table is not None
    best = rows[0].candidate.method
    against = findings.table.reference_method
    sign = "below" if rows[0].delta_m < 0 else "above"
    place = f"the best of {len(rows)} tuned methods by mean" if len(rows) > 1 else "the only tuned method"
    change = f"{number(abs(rows[0].delta_m))} % {sign} {against} on average over metrics"
    said = f"{best} is {place}: on the test split it is {change} ({seeds(rows[0].seeds)}; lower is better)"
    if len(rows) == 1:
        return [f"{said}."]
    second = compare(findings.by_seed(rows[0]), findings.by_seed(rows[1]))
    return [f"{said}. Against the next best, {verdict(second, best, rows[1].candidate.method)}."]


def _tuning(findings: Findings) -> list[str]:
    gains = {
        row.candidate.method: findings.defaults[row.candidate.method].delta_m - row.delta_m
        for row in findings.tuned
        if row.candidate.method in findings.defaults
    }
    if not gains:
        return []
    most = max(gains, key=lambda method: gains[method])
    same = [method for method, gain in gains.items() if gain == 0]
    lost = [f"{method} ({number(-gain)})" for method, gain in gains.items() if gain < 0]
    if gains[most] <= 0:
        said = "Tuning gained nothing over the published defaults on the test split"
    else:
        said = f"Tuning gained most for {most}: {number(gains[most])} points of Δm against its published defaults"
    if lost:
        said += f"; it lost points on {listed(lost)}"
    return [said + (f"; it kept the defaults of {listed(same)}." if same else ".")]


def _grouping(findings: Findings) -> list[str]:
    n_tasks = len(findings.tasks)
    found = []
    for row in findings.tuned:
        settings = row.candidate.configuration.method.settings
        if row.candidate.method in findings.grouped and "n_groups" in settings:
            found.append(_of_k(row, settings["n_groups"], n_tasks))
    if (test := findings.grouping_test) is not None:
        found.append(test.verdict)
    elif found and n_tasks > 2 and findings.stored.was_searched:
        name = shlex.quote(findings.stored.name)
        found.append(f"Whether grouping itself helps, `study groups {name} --test` tells.")
    return [" ".join(found)] if found else []


def _of_k(row: FinalRow, k: object, n_tasks: int) -> str:
    method = row.candidate.method
    if isinstance(k, int) and k >= n_tasks:
        return f"The tuned {method} uses K = {k} groups for {n_tasks} tasks, that is, no grouping."
    if k == 1:
        return f"The tuned {method} uses one group, that is, the same weight for all tasks."
    return f"The tuned {method} uses K = {k} for {n_tasks} tasks."


def _next(findings: Findings) -> str:
    name = shlex.quote(findings.stored.name)
    if not findings.tuned:
        return f"`study final {name}` trains the best configurations over the final seeds."
    if edges := edge_warnings(findings, space_of(findings)):
        return f"{edges[0][0].lower()}{edges[0][1:]}"
    if min(row.seeds for row in findings.tuned) < MIN_SEEDS:
        return f"`study final {name} --seeds {2 * MIN_SEEDS}`, so that differences can be decided."
    if not findings.stored.was_searched:
        return "another benchmark."
    return "`study run` of the study's file with --again and a larger `budget.trials`, or another benchmark."
