"""The search: how it went, what mattered, and where its range was too narrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from go4align.errors import UserError
from study.report.figure import Bars, Figure, Grid, Lines, Parallel, Points, Section
from study.report.findings import Findings
from study.report.rows import lowest
from study.report.sections import k_sweep
from study.report.words import NO_NUMBER, listed, number
from study.search.importance import importances
from study.spec import Range, SearchSpace, digest, load_space

_EDGE = 0.02
"""Of a range's width: a best value that close to an end is at the edge."""
_PARAMS = "params."


def section(findings: Findings) -> Section | None:
    """None where nothing was searched yet."""
    searched = findings.searched()
    if searched["score"].notna().sum() == 0:
        return None
    space = space_of(findings)
    parts: list[Grid | Figure] = []
    if (searched.groupby("method").size() > 1).any():
        parts.append(_history(findings, searched))
    if survivors := _survivors(searched):
        parts.append(survivors)
    if space is not None:
        parts.append(_best_values(findings, space))
        for method in _shown_methods(findings):
            parts += _of_method(findings, space, method)
    if sweep := k_sweep.figure(findings):
        parts.append(sweep)
    sentences = edge_warnings(findings, space)
    if space is None:
        sentences.append("The search space is not at hand here, so its hyperparameters are not drawn.")
    return Section("search", "The search", sentences, parts)


def space_of(findings: Findings) -> SearchSpace | None:
    """What was searched; None where the space that this machine has is another one, or none."""
    try:
        space = load_space(findings.study, findings.study.build_benchmark())
    except UserError:
        return None
    return space if digest(space) == findings.stored.space_hash else None


def edge_warnings(findings: Findings, space: SearchSpace | None) -> list[str]:
    """A sentence per method whose best trial has a value at the end of its range."""
    if space is None:
        return []
    found = []
    for method in findings.study.methods:
        own = _complete(findings, method)
        if len(own) < 2:
            continue
        best = lowest(own, "score")
        ranges = space.parameters(findings.study.method(method))
        edges = [f"{key} = {best[_PARAMS + key]:.3g}" for key, p in ranges.items() if _at_edge(best, key, p)]
        if edges:
            found.append(f"The best trial of {method} lies at the edge of its range: {listed(edges)}. Widen the range.")
    return found


def _at_edge(trial: Mapping[str, Any], key: str, parameter: object) -> bool:
    if not isinstance(parameter, Range) or _PARAMS + key not in trial:
        return False
    low, high, value = float(parameter.low), float(parameter.high), float(trial[_PARAMS + key])
    if parameter.log:
        low, high, value = (float(np.log(x)) for x in (low, high, value))
    return min(value - low, high - value) < _EDGE * (high - low)


def _complete(findings: Findings, method: str) -> pd.DataFrame:
    own = findings.searched(method)
    return own[(own["status"] == "finished") & np.isfinite(own["score"].astype(float))]


def _history(findings: Findings, searched: pd.DataFrame) -> Figure:
    parts = []
    for method, own in searched[searched["status"] == "finished"].groupby("method", sort=False):
        scores = own["score"].reset_index(drop=True)
        steps = {"trial": own["trial"].to_numpy(), "number": scores.index + 1, "best": scores.cummin(), "score": scores}
        parts.append(pd.DataFrame(steps).assign(method=method))
    frame = pd.concat(parts)
    last = frame.groupby("method", sort=False)["best"].agg(["first", "last"])
    gained = last["first"] - last["last"]
    sentence = (
        f"The search gained most for {gained.idxmax()}, {number(gained.max())} below its first trial, the defaults."
    )
    if (gained == 0).any():
        sentence += f" For {listed(list(gained.index[gained == 0]))} no trial was better than the defaults."
    marks = Lines("number", "best", "method", "complete trials", "best score so far (validation)", markers=True)
    return Figure("history", "Best score so far", sentence, frame, marks)


def _survivors(searched: pd.DataFrame) -> Figure | None:
    """How many trials were trained how long, where a scheduler stopped any."""
    ended = searched[searched["status"].isin(["finished", "stopped"])].dropna(subset=["epochs"])
    if not (ended["status"] == "stopped").any():
        return None
    rungs = sorted(ended["epochs"].unique())
    rows = [
        {"method": method, "epochs": f"{rung} epochs", "trials": int((own["epochs"] >= rung).sum())}
        for method, own in ended.groupby("method", sort=False)
        for rung in rungs
    ]
    stopped = int((ended["status"] == "stopped").sum())
    sentence = f"{stopped} of {len(ended)} trials were stopped before their last epoch."
    marks = Bars("method", "trials", "trials that were trained at least so long", by="epochs")
    return Figure("survivors", "Trials that survived each rung", sentence, pd.DataFrame(rows), marks)


def _shown_methods(findings: Findings) -> list[str]:
    """Whose search is drawn in full: the methods with groups, and the best of the others by its best score."""
    scores = findings.searched().query("status == 'finished'").groupby("method")["score"].min().sort_values()
    others = [str(method) for method in scores.index if method not in findings.grouped]
    return [*findings.grouped, *others[:1]]


def _best_values(findings: Findings, space: SearchSpace) -> Grid:
    cells = []
    for method in findings.study.methods:
        own = _complete(findings, method)
        if own.empty:
            cells.append([method, "no complete trial", str(len(own)), NO_NUMBER])
            continue
        best = lowest(own, "score")
        keys = [key for key in space.parameters(findings.study.method(method)) if _PARAMS + key in best]
        values = ", ".join(f"{key} = {_shown(best[_PARAMS + key])}" for key in keys)
        cells.append([method, values, str(len(own)), number(best["score"], 2)])
    heads = ["method", "best trial", "complete trials", "score"]
    return Grid("Best trial of each method on validation", heads, cells, names=2)


def _of_method(findings: Findings, space: SearchSpace, method: str) -> list[Grid | Figure]:
    parameters = space.parameters(findings.study.method(method))
    own = _complete(findings, method)
    varied = [key for key in parameters if _PARAMS + key in own and len(set(own[_PARAMS + key].map(str))) > 1]
    if len(own) < 3 or not varied:
        return []
    columns = ["trial", *(_PARAMS + key for key in varied), "score"]
    frame = own[columns].rename(columns=lambda column: column.removeprefix(_PARAMS))
    logarithmic = {key for key in varied if isinstance(p := parameters[key], Range) and p.log}
    parts: list[Grid | Figure] = []
    if len(varied) > 1:
        best = lowest(frame, "score")
        settings = listed([f"{key} = {_shown(best[key])}" for key in varied])
        sentence = (
            f"A line per complete trial, from blue, good, to orange. Best: {settings}, score {number(best['score'])}."
        )
        marks = Parallel((*varied, "score"), frozenset(logarithmic))
        parts.append(Figure(f"parallel-{method}", f"All hyperparameters, {method}", sentence, frame, marks))
        if (found := _importance(method, frame, varied, logarithmic)) is not None:
            parts.append(found)
    parts += [_slice(method, frame, key, log=key in logarithmic) for key in varied]
    return parts


def _importance(method: str, frame: pd.DataFrame, varied: list[str], logarithmic: set[str]) -> Figure | None:
    found = importances(frame[varied], frame["score"], logarithmic)
    if found.empty:
        return None
    first = found.iloc[0]
    overlap = len(found) > 1 and first["low"] < found.iloc[1]["high"]
    sentence = (
        f"{first['parameter']} explains most of the score's variance, {first['importance']:.0%} "
        f"({first['low']:.0%} to {first['high']:.0%})"
        + (", but its interval and the next one's overlap." if overlap else ".")
        + f" From {len(frame)} trials."
    )
    marks = Bars("parameter", "importance", "share of the score's variance (fANOVA)", low="low", high="high")
    return Figure(f"importance-{method}", f"Importance of hyperparameters, {method}", sentence, found, marks)


def _slice(method: str, frame: pd.DataFrame, key: str, *, log: bool) -> Figure:
    best = lowest(frame, "score")[key]
    own = frame[["trial", key, "score"]].sort_values(key, key=_in_order)
    sentence = f"The best trial has {key} = {_shown(best)}; everything else varies from point to point, too."
    if not pd.api.types.is_numeric_dtype(own[key]):
        own = own.assign(**{key: own[key].map(str)})
    marks = Points(key, "score", "", key, "score (validation)", "trial", log_x=log)
    return Figure(f"slice-{method}-{key}", f"Score against {key}, {method}", sentence, own, marks)


def _in_order(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers before words."""
    return pd.to_numeric(values, errors="coerce")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
