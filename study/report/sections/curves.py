"""Learning curves against the reference, when tasks converge, and what weighting does to the losses' shares."""

from __future__ import annotations

import pandas as pd

from study.analysis.convergence import TOLERANCE, convergence_difference, convergence_epochs
from study.report.figure import Figure, Grid, Heat, Lines, Marks, Section
from study.report.findings import Findings
from study.report.words import number

_MOST_LINES = 12
_MOST = 3
"""Methods whose curves are drawn: the best, and those with groups."""


def section(findings: Findings) -> Section | None:
    """None without final runs whose epochs can be read."""
    trials = _trials(findings)
    curves = {method: _validation_losses(findings, trial) for method, trial in trials.items()}
    curves = {method: curve for method, curve in curves.items() if len(curve)}
    if not curves:
        return None
    shown = _shown(findings, list(curves))
    parts: list[Grid | Figure] = [_convergence(curves)]
    for method in shown:
        parts.append(_curve(findings, method, trials[method]))
        parts += _risk_ratios(findings, method, trials[method])
    return Section("curves", "Over epochs", [], parts)


def _trials(findings: Findings) -> dict[str, str]:
    """The first seed's tuned run of each method."""
    return {row.candidate.method: row.runs[min(row.runs)] for row in findings.tuned if row.runs}


def _shown(findings: Findings, methods: list[str]) -> list[str]:
    first = [*methods[:1], *(name for name in findings.grouped if name in methods), *methods[1:]]
    return list(dict.fromkeys(first))[:_MOST]


def _of_trial(findings: Findings, trial: str, quantity: str) -> pd.DataFrame:
    """A row per epoch, a column per task."""
    epochs = findings.stored.epochs
    own = epochs[(epochs["trial"] == trial) & (epochs["quantity"] == quantity)]
    return own.pivot(index="epoch", columns="task", values="value").reindex(columns=list(findings.tasks))


def _validation_losses(findings: Findings, trial: str) -> pd.DataFrame:
    return _of_trial(findings, trial, "val/loss").dropna(axis=1, how="all")


def _convergence(curves: dict[str, pd.DataFrame]) -> Grid:
    cells = []
    for method, curve in curves.items():
        epochs = convergence_epochs(curve)
        first, last = f"{epochs.idxmin()} ({epochs.min():.0f})", f"{epochs.idxmax()} ({epochs.max():.0f})"
        cells.append([method, first, last, number(epochs.mean()), number(convergence_difference(curve))])
    caption = (
        f"A task has converged when it has made all but {TOLERANCE:.0%} of the gain from its first validation loss to "
        "its best. Difference: standard deviation over tasks of these epochs; tuned configurations, first seed."
    )
    heads = ["method", "first task (epoch)", "last task (epoch)", "mean epoch", "convergence difference"]
    return Grid("When tasks converge", heads, cells, caption, names=3)


def _curve(findings: Findings, method: str, trial: str) -> Figure:
    reference = findings.reference()
    parts = []
    for task in findings.benchmark.tasks:
        metric = task.metrics[0]
        curve = _of_trial(findings, trial, f"val/{metric.name}").get(task.name)
        single = reference.val.get(f"{task.name}/{metric.name}") if reference else None
        if curve is None or not single:
            continue
        ratio = single / curve if metric.higher_is_better else curve / single
        parts.append(ratio.rename("ratio").reset_index().assign(task=task.name))
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=["epoch", "ratio", "task"])
    last = frame[frame["epoch"] == frame["epoch"].max()].set_index("task")["ratio"]
    sentence = "No reference in the store to compare with."
    if len(last):
        reached = int((last <= 1).sum())
        sentence = (
            f"Validation error of {trial} relative to the reference (1: as good; a score's inverse): in the last epoch "
            f"{reached} of {len(last)} tasks are as good or better; furthest behind is {last.idxmax()} "
            f"({last.max():.2f})."
        )
    marks = _by_task(findings, "ratio", "validation error / reference", log=True)
    return Figure(f"curves-{method}", f"Learning curves per task, {method}", sentence, frame, marks)


def _by_task(findings: Findings, value: str, label: str, *, log: bool) -> Marks:
    """A line per task; a row of colours each, where lines would be too many to tell apart."""
    if len(findings.tasks) > _MOST_LINES:
        return Heat("task", "epoch", value, label, log=log, column_label="epoch")
    return Lines("epoch", value, "task", "epoch", label, log_y=log, markers=True)


def _risk_ratios(findings: Findings, method: str, trial: str) -> list[Figure]:
    """Each task's share of the summed training loss, before and after weighting (the paper's Figure 8)."""
    losses, weights = (_of_trial(findings, trial, f"train/{what}") for what in ("loss", "weight"))
    if not losses.size or not weights.size:
        return []
    weighted = losses * weights
    spread, figures = {}, []
    for name, values in (("before", losses), ("after", weighted)):
        shares = values.div(values.sum(axis=1), axis=0)
        last = shares.iloc[-1]
        spread[name] = last.max() / last[last > 0].min() if (last > 0).any() else float("nan")
        frame = shares.reset_index().melt("epoch", var_name="task", value_name="share").dropna()
        sentence = f"In the last epoch the largest share is {spread[name]:.3g} times the smallest"
        sentence += f", against {spread['before']:.3g} before weighting." if name == "after" else "."
        marks = _by_task(findings, "share", "share of the sum", log=bool((frame["share"] > 0).any()))
        title = f"Risk ratios {name} weighting, {method}"
        figures.append(Figure(f"risk-{name}-{method}", title, sentence, frame, marks))
    return figures
