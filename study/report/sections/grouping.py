"""The grouping study: which tasks share a group, how steadily, and whether that goes with good scores."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from study.analysis.co_assignment import (
    WEIGHT,
    agreement,
    best_against_rest,
    group_table,
    mean_shares,
    n_groups,
    ordered,
    stability,
)
from study.analysis.intervals import mean_interval
from study.report.figure import Bars, Figure, Grid, Heat, Lines, Section
from study.report.findings import Findings
from study.report.rows import records
from study.report.words import interval, listed, number, seeds
from study.results import ARMS

_PAIRS = 15
"""Pairs of tasks in the table of the best trials against the rest."""


def section(findings: Findings) -> Section | None:
    """None for a study without a method that has groups, or whose trials' files cannot be read."""
    if not findings.grouped:
        return None
    sentences: list[str] = []
    parts: list[Grid | Figure] = [*_test(findings)]
    for method in findings.grouped:
        trials, what = chosen_trials(findings, method)
        sentences.append(_in_words(findings, method, trials))
        parts += _of_method(findings, method, trials, what)
    return Section("grouping", "Which tasks group together", sentences, parts)


def _test(findings: Findings) -> list[Grid | Figure]:
    """Whether grouping helps, where that was tested."""
    found = findings.grouping_test
    if found is None:
        return []
    cells, rows = [], []
    for arm in found.arms:
        mean = mean_interval(list(arm.delta_m.values()))
        line = [arm.arm, ARMS[arm.arm], f"{arm.lr:.3g}", number(mean.mean)]
        if arm.against is None:
            cells.append([*line, "", "", ""])
            continue
        cells.append([*line, interval(arm.against.difference), number(arm.p, 3), arm.outcome])
        difference = arm.against.difference
        rows.append({"arm": arm.arm, "difference": difference.mean, "low": difference.low, "high": difference.high})
    heads = ["arm", "what", "lr", "Δm %", "grouped less this (95 % interval)", "p (Holm)", "grouped is"]
    base = f"{found.question.base.trial}, K = {found.question.k}"
    caption = (
        f"GO4Align as the search's best trial with 1 < K < M has it ({base}), over {seeds(len(found.seeds))}, paired. "
        "All arms have weights of the same sum, and each its own learning rate of one grid, chosen on validation. "
        "p: exact sign-flip test, corrected by Holm."
    )
    table = Grid("Does grouping help?", heads, cells, caption, names=2)
    if not rows:
        return [table]
    marks = Bars("arm", "difference", "Δm of the grouped arm less this one's, points", low="low", high="high")
    sentence = f"{found.verdict} Left of zero the grouped arm is better."
    return [table, Figure("grouping-test", "Grouped against each other arm", sentence, pd.DataFrame(rows), marks)]


def chosen_trials(findings: Findings, method: str) -> tuple[list[str], str]:
    """The trials that are shown: the tuned final runs; before those, the best search trial."""
    with_groups = set(findings.stored.co_assignment["trial"].unique())
    for row in findings.tuned:
        if row.candidate.method == method and with_groups & set(row.runs.values()):
            return [trial for trial in row.runs.values() if trial in with_groups], "tuned final runs"
    searched = findings.searched(method)
    searched = searched[searched["trial"].isin(with_groups)].sort_values("score")
    return list(searched["trial"][:1]), "the best search trial so far"


def _in_words(findings: Findings, method: str, trials: Sequence[str]) -> str:
    if not trials:
        return f"No trial of {method} that has ended kept its groups."
    groups = _groups(findings, trials)
    typical = float(n_groups(groups).mean())
    n_tasks = len(findings.tasks)
    said = f"{method} had {number(typical)} groups of {n_tasks} tasks on average over its epochs."
    if n_tasks < 3:
        said += " With fewer than three tasks there is nothing to group."
    elif typical > n_tasks - 0.5:
        said += " That is a group of its own for nearly every task: no grouping to speak of."
    steady = stability(groups)
    if len(steady):
        said += (
            f" From one epoch to the next its groups agree with an adjusted Rand index of {number(steady.mean(), 2)} "
            "(1: no task moves; 0: as good as drawn anew)"
        )
        between = agreement(groups)
        said += f", between seeds of {number(between.mean(), 2)}." if len(between) else "."
    return said


def _of_method(findings: Findings, method: str, trials: Sequence[str], what: str) -> list[Grid | Figure]:
    if not trials:
        return []
    parts: list[Grid | Figure] = [_weights(findings, method, trials[0])]
    if len(findings.tasks) > 1:
        parts.append(_shares(findings, method, trials, what))
    parts += _steadiness(findings, method, trials)
    if (pairs := _best_pairs(findings, method)) is not None:
        parts.append(pairs)
    return parts


def _weights(findings: Findings, method: str, trial: str) -> Figure:
    epochs = findings.stored.epochs
    own = epochs[(epochs["trial"] == trial) & (epochs["quantity"] == WEIGHT)]
    frame = own[["task", "epoch", "value"]].rename(columns={"value": "weight"})
    last = frame[frame["epoch"] == frame["epoch"].max()].set_index("task")["weight"]
    smallest = f"{last.min():.3g} of {last.idxmin()}"
    ratio = f"the smallest is {smallest}"
    if last.min() > 0:
        ratio = f"that is {last.max() / last.min():.3g} times the smallest, {smallest}"
    sentence = (
        f"Weights of {trial} by task and epoch, means over its steps; tasks of one colour share a group. In the "
        f"last epoch {last.idxmax()} has the largest, {last.max():.3g}; {ratio}."
    )
    marks = Heat("task", "epoch", "weight", "weight", log=bool((frame["weight"] > 0).any()), column_label="epoch")
    return Figure(f"groups-{method}", f"Group weights over epochs, {method}", sentence, frame, marks)


def _shares(findings: Findings, method: str, trials: Sequence[str], what: str) -> Figure:
    together = findings.stored.co_assignment
    shares = mean_shares(together[together["trial"].isin(trials)], findings.tasks).fillna(0.0)
    tree = ordered(shares)
    frame = tree.shares.rename_axis(index="task").reset_index().melt("task", var_name="other", value_name="share")
    apart = frame[frame["task"] < frame["other"]].sort_values("share", ascending=False)
    most = [f"{row['task']} with {row['other']} ({row['share']:.0%})" for row in records(apart.head(3))]
    runs = f"{len(trials)} {what}" if len(trials) > 1 else what
    pairs = f"Most often together: {listed(most)}." if apart["share"].max() > 0 else "No two tasks ever shared one."
    sentence = f"Share of steps in one group, mean over {runs}. {pairs}"
    marks = Heat("task", "other", "share", "share of steps", limits=(0.0, 1.0), tree=tree)
    return Figure(f"co-assignment-{method}", f"How often two tasks share a group, {method}", sentence, frame, marks)


def _steadiness(findings: Findings, method: str, trials: Sequence[str]) -> list[Figure]:
    groups = _groups(findings, trials)
    steady = stability(groups).groupby(level="epoch").mean()
    between = agreement(groups)
    parts = {"with the epoch before": steady, f"between {seeds(len(trials))}": between}
    frame = pd.concat(
        [series.rename("index").reset_index().assign(of=name) for name, series in parts.items() if len(series)]
        or [pd.DataFrame(columns=["epoch", "index", "of"])]
    )
    figures = []
    if len(frame):
        sentence = f"Groups of an epoch and of the one before agree with {number(float(steady.mean()), 2)} on average"
        sentence += f", groups of two seeds with {number(float(between.mean()), 2)}." if len(between) else "."
        marks = Lines("epoch", "index", "of", "epoch", "adjusted Rand index", markers=True, limits=(-0.1, 1.05))
        title = f"How steady the groups are, {method}"
        figures.append(Figure(f"stability-{method}", title, sentence, frame, marks))
    counts = n_groups(groups).reset_index()
    low, high = int(counts["n_groups"].min()), int(counts["n_groups"].max())
    if low < high:
        sentence = f"Between {low} and {high} groups, {number(float(counts['n_groups'].mean()))} on average."
        marks = Lines("epoch", "n_groups", "trial", "epoch", "groups", markers=True)
        title = f"Number of groups over epochs, {method}"
        figures.append(Figure(f"n-groups-{method}", title, sentence, counts, marks))
    return figures


def _best_pairs(findings: Findings, method: str) -> Grid | None:
    searched = findings.searched(method).query("status == 'finished'").set_index("trial")["score"]
    pairs = best_against_rest(findings.stored.co_assignment, searched.dropna(), findings.tasks)
    if pairs.empty:
        return None
    cells = [
        [f"{row['task']}, {row['other']}", f"{row['best']:.2f}", f"{row['rest']:.2f}", f"{row['difference']:+.2f}"]
        for row in records(pairs.head(_PAIRS))
    ]
    caption = (
        f"Share of steps in one group: in the best tenth of {method}'s complete search trials, in the rest, and the "
        "difference, largest first. That good trials group so does not say that grouping so makes them good: K, beta "
        "and the learning rate differ too."
    )
    heads = ["pair", "best", "rest", "difference"]
    return Grid(f"Pairs of tasks in the best trials of {method}", heads, cells, caption)


def _groups(findings: Findings, trials: Sequence[str]) -> pd.DataFrame:
    epochs = findings.stored.epochs
    return group_table(epochs[epochs["trial"].isin(trials)])
