"""One report over several studies: Delta m, mean rank and time of every method on each (the paper's Tables 2 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pandas as pd

from go4align.errors import UserError
from study.report.figure import Bars, Figure, Grid, Heat, Report, Section
from study.report.findings import Findings
from study.report.words import NO_NUMBER, listed, number
from study.results import FinalRow, StoredStudy
from study.results.times import PLAIN_SUM


def build_comparison(stored: Sequence[StoredStudy], *, mixed: bool = False) -> Report:
    """What several studies say of the same methods.

    Args:
        stored: the studies, each with final runs.
        mixed: accept studies with different references or budgets. Every column then says its own.

    Raises:
        UserError: a study has no final runs, or what they are relative to or had to spend differs.
    """
    findings = [Findings(one) for one in stored]
    for one in findings:
        if one.table is None:
            raise UserError(f"The study '{one.stored.name}' has no final runs to compare. {one.no_table}")
    if not mixed:
        _check_alike(findings)
    names = ", ".join(one.stored.name for one in findings)
    return Report(
        names,
        f"{len(findings)} studies; read {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        [_answer(findings), _results(findings), _time(findings), _provenance(findings)],
    )


def _check_alike(findings: Sequence[Findings]) -> None:
    """Numbers side by side are read as comparable."""
    questions: dict[str, Callable[[Findings], str]] = {
        "their Δm is relative to": _reference,
        "their searches had": _trials,
        "final runs have": lambda one: f"{len(_seeds(one))} seeds",
    }
    for what, ask in questions.items():
        found = {one.stored.name: ask(one) for one in findings}
        if len(set(found.values())) > 1:
            told = "; ".join(f"{name}: {value}" for name, value in found.items())
            raise UserError(f"These studies differ in what {what} ({told}). Compare others, or add --mixed.")


def _reference(one: Findings) -> str:
    assert one.table is not None
    source = "published" if one.study.reference == "published" else "measured"
    return f"{source} {one.table.reference_method}"


def _trials(one: Findings) -> str:
    if (carried := one.stored.carried_over) is not None:
        return f"the search of {carried.tuned_by}"
    return f"{one.study.budget.trials} trials a method"


def _seeds(one: Findings) -> set[int]:
    return {seed for row in one.tuned for seed in row.runs}


def _methods(findings: Sequence[Findings]) -> list[str]:
    """By their mean Delta m over the studies that have them all; those that a study lacks come last."""
    rows = [(row.candidate.method, row.delta_m) for one in findings for row in one.tuned]
    frame = pd.DataFrame(rows, columns=["method", "delta_m"])
    by_method = frame.groupby("method")["delta_m"].agg(["size", "mean"])
    order = by_method.sort_values(["size", "mean"], ascending=[False, True])
    return [str(method) for method in order.index]


def _row(one: Findings, method: str) -> FinalRow | None:
    return next((row for row in one.tuned if row.candidate.method == method), None)


def _answer(findings: Sequence[Findings]) -> Section:
    said = []
    for one in findings:
        best = one.tuned[0] if one.tuned else None
        if best is not None:
            said.append(f"{best.candidate.method} on {one.stored.name} ({number(best.delta_m)} %)")
    sentence = f"Lowest mean Δm: {listed(said)}. Each study's own report says whether that is decided."
    return Section("answer", "The answer", [sentence])


def _results(findings: Sequence[Findings]) -> Section:
    methods = _methods(findings)
    cells, rows = [], []
    for method in methods:
        line = [method]
        for one in findings:
            row = _row(one, method)
            line += [NO_NUMBER, NO_NUMBER] if row is None else [_with_error(row), number(row.mean_rank, 2)]
            if row is not None:
                rows.append({"method": method, "study": one.stored.name, "delta_m": row.delta_m})
        cells.append(line)
    heads = ["method", *(head for one in findings for head in (f"{one.stored.name}: Δm %", "mean rank"))]
    what = "; ".join(
        f"{one.stored.name}: against {_reference(one)}, {_trials(one)}, "
        f"{len(_seeds(one))} seeds, {one.table.budgets if one.table else ''}"
        for one in findings
    )
    marks = Heat("method", "study", "delta_m", "Δm, %", centred=True)
    frame = pd.DataFrame(rows)
    best = frame.groupby("study")["delta_m"].idxmin()
    won = frame.loc[best, "method"].value_counts()
    sentence = f"Lowest mean Δm: {listed([f'{m} in {n}' for m, n in won.items()])} of {len(findings)} studies."
    figure = Figure("delta_m", "Δm of the tuned methods on each study", sentence, frame, marks)
    grid = Grid("Δm ± standard error over seeds, and mean rank, tuned", heads, cells, f"{what}.")
    return Section("results", "Results on the test splits", [], [grid, figure])


def _with_error(row: FinalRow) -> str:
    return number(row.delta_m) + (f" ± {number(row.delta_m_se)}" if row.delta_m_se is not None else "")


def _time(findings: Sequence[Findings]) -> Section:
    rows = []
    for one in findings:
        plain = _row(one, PLAIN_SUM)
        if plain is None:
            continue
        rows += [
            {"method": row.candidate.method, "study": one.stored.name, "relative": row.epoch_s / plain.epoch_s}
            for row in one.tuned
        ]
    if not rows:
        return Section("time", "Time", ["No study has the plain sum, to which seconds would be relative."])
    frame = pd.DataFrame(rows)
    slowest = frame.groupby("method")["relative"].mean()
    sentence = f"{slowest.idxmax()} takes longest, {number(float(slowest.max()), 2)} times a plain sum on average."
    caution = "Not comparable: these are seconds of trials that shared their machines."
    marks = Bars("method", "relative", f"seconds an epoch, relative to {PLAIN_SUM}", by="study")
    return Section("time", "Time", [caution], [Figure("runtime", "Seconds an epoch", sentence, frame, marks)])


def _provenance(findings: Sequence[Findings]) -> Section:
    cells = [
        [one.stored.name, one.study.benchmark.name, f"{one.stored.started:%Y-%m-%d}", one.stored.tags["code_version"]]
        for one in findings
    ]
    grid = Grid("Studies", ["study", "benchmark", "begun", "code"], cells, names=4)
    return Section("record", "What was run", [], [grid], [f"study report {one.stored.name}" for one in findings])
