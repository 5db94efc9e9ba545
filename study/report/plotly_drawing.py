"""Figures for a browser: plotly's traces and layout, from a figure's data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram

from study.report.colours import BETTER_TO_WORSE, GOOD_TO_BAD, SEQUENTIAL, between, colour, dash, stops
from study.report.figure import Bars, Figure, Heat, Lines, Marks, Parallel, Points
from study.report.scales import colour_limits, logarithms, matrix, parallel_axes

Trace = dict[str, Any]
Layout = dict[str, Any]

_HEIGHT = 420
_POINTS_HEIGHT = 300
_ROW = 24
_FEW_TICKS = 15
_TREE = 0.16
"""Share of the width that a dendrogram takes."""


def plotly_json(figure: Figure) -> str:
    """A figure's traces and layout as JSON that may stand in a script element of a page.

    Plotly reads tags in texts, so all names are escaped; colours of texts and lines are the page's, light or dark.
    """
    traces, layout = _DRAWINGS[type(figure.marks)](figure.frame, figure.marks)
    common = {
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "height": _HEIGHT,
    }
    drawn = {"data": traces, "layout": common | layout}
    return json.dumps(_plain(drawn), allow_nan=False).replace("<", "\\u003c")


def _lines(frame: pd.DataFrame, marks: Lines) -> tuple[list[Trace], Layout]:
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if marks.markers else "lines",
            "name": _text(name),
            "x": own[marks.x],
            "y": own[marks.y],
            "line": {"color": colour(i), "dash": dash(i), "width": 2},
        }
        for i, (name, own) in enumerate(_each(frame, marks.by))
    ]
    limits = {"range": list(marks.limits)} if marks.limits else {}
    x_axis = _axis(marks.x_label) | _whole(frame[marks.x])
    return traces, {"xaxis": x_axis, "yaxis": _axis(marks.y_label, log=marks.log_y) | limits}


def _points(frame: pd.DataFrame, marks: Points) -> tuple[list[Trace], Layout]:
    traces: list[Trace] = []
    for i, (name, own) in enumerate(_each(frame, marks.by)):
        trace: Trace = {
            "type": "scatter",
            "mode": "+".join(["markers", *(["lines"] if marks.line else []), *(["text"] if marks.labelled else [])]),
            "name": _text(name),
            "x": own[marks.x],
            "y": own[marks.y],
            "marker": {"color": colour(i), "size": 9},
            "line": {"color": colour(i), "dash": dash(i)},
            "textposition": "top center",
        }
        if marks.text:
            trace["text"] = list(map(_text, own[marks.text]))
        if marks.low:
            trace["error_y"] = _errors(own, marks.y, marks.low, marks.high)
        traces.append(trace)
    return traces, {
        "xaxis": _axis(marks.x_label, log=marks.log_x) | _whole(frame[marks.x]),
        "yaxis": _axis(marks.y_label),
        "height": _POINTS_HEIGHT,
        "showlegend": len(traces) > 1 and not marks.labelled,
    }


def _bars(frame: pd.DataFrame, marks: Bars) -> tuple[list[Trace], Layout]:
    traces: list[Trace] = []
    for i, (name, own) in enumerate(_each(frame, marks.by)):
        trace: Trace = {
            "type": "bar",
            "orientation": "h",
            "name": _text(name),
            "y": list(map(_text, own[marks.label])),
            "x": own[marks.value],
            "marker": {"color": colour(i)},
        }
        if marks.low:
            trace["error_x"] = _errors(own, marks.value, marks.low, marks.high)
        traces.append(trace)
    n_bars = frame[marks.label].nunique() * len(traces)
    layout = {
        "xaxis": _axis(marks.value_label),
        "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
        "height": max(200, 100 + _ROW * n_bars),
        "showlegend": len(traces) > 1,
    }
    return traces, layout


def _heat(frame: pd.DataFrame, marks: Heat) -> tuple[list[Trace], Layout]:
    wide = matrix(frame, marks)
    values = wide.to_numpy(float)
    places = logarithms(values) if marks.log else values
    low, high = colour_limits(frame, marks)
    trace: Trace = {
        "type": "heatmap",
        "z": places,
        "x": list(map(_text, wide.columns)) if not marks.column_label else list(wide.columns),
        "y": list(map(_text, wide.index)),
        "customdata": values,
        "hovertemplate": f"%{{y}}, %{{x}}: %{{customdata:.4g}}<extra>{_text(marks.value_label)}</extra>",
        "colorscale": stops(BETTER_TO_WORSE) if marks.centred else SEQUENTIAL,
        "zmin": low,
        "zmax": high,
        "colorbar": {"title": {"text": _text(marks.value_label), "side": "right"}, **_ticks(low, high, log=marks.log)},
        "xgap": 1,
        "ygap": 1,
    }
    if marks.written:
        trace["texttemplate"] = "%{z:.2f}"
    layout: Layout = {
        "xaxis": _axis(marks.column_label),
        "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
        "height": max(260, 140 + _ROW * len(wide)),
    }
    if not marks.column_label:
        layout["xaxis"] |= {"type": "category", "tickangle": -45}
    if marks.tree is None:
        return [trace], layout
    return [trace, *_tree(marks)], layout | {
        "xaxis": layout["xaxis"] | {"domain": [0, 1 - _TREE]},
        "xaxis2": {"domain": [1 - _TREE, 1], "visible": False, "anchor": "y2"},
        "yaxis2": {"visible": False, "range": [10 * len(wide), 0], "anchor": "x2"},
        "showlegend": False,
        "legend": {},
    }


def _tree(marks: Heat) -> list[Trace]:
    assert marks.tree is not None
    drawn = dendrogram(marks.tree.links, no_plot=True)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": depth,
            "y": place,
            "xaxis": "x2",
            "yaxis": "y2",
            "hoverinfo": "skip",
            "line": {"color": colour(7), "width": 1.5},
        }
        for depth, place in zip(drawn["dcoord"], drawn["icoord"], strict=True)
    ]


def _parallel(frame: pd.DataFrame, marks: Parallel) -> tuple[list[Trace], Layout]:
    """As plain lines: plotly's own parallel coordinates need WebGL, and no printer has that."""
    axes = parallel_axes(frame, marks)
    heights = np.array([axis.heights for axis in axes])
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(range(len(axes))),
            "y": heights[:, i],
            "line": {"color": between(GOOD_TO_BAD, heights[-1, i]), "width": 1.5},
            "hoverinfo": "text",
            "hovertext": _text(", ".join(f"{axis.name} = {axis.texts[i]}" for axis in axes)),
        }
        for i in range(len(frame))
    ]
    notes = [
        {
            "x": i,
            "y": place,
            "text": _text(text),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 3,
            "font": {"size": 11},
        }
        for i, axis in enumerate(axes)
        for place, text in axis.ticks.items()
    ]
    names = {"tickvals": list(range(len(axes))), "ticktext": [_text(axis.name) for axis in axes], "side": "top"}
    return traces, {
        "xaxis": names | {"range": [-0.1, len(axes) - 0.6], "automargin": True},
        "yaxis": {"visible": False, "range": [-0.05, 1.05]},
        "annotations": notes,
        "showlegend": False,
        "hovermode": "closest",
    }


_DRAWINGS: dict[type[Marks], Any] = {Lines: _lines, Points: _points, Bars: _bars, Heat: _heat, Parallel: _parallel}


def _each(frame: pd.DataFrame, by: str) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of each value, in the frame's order."""
    if not by:
        return [("", frame)]
    return [(str(name), frame[frame[by] == name]) for name in dict.fromkeys(frame[by])]


def _errors(frame: pd.DataFrame, value: str, low: str, high: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": frame[high] - frame[value],
        "arrayminus": frame[value] - frame[low],
        "color": colour(7),
    }


def _axis(title: str, *, log: bool = False) -> dict[str, Any]:
    axis = {"title": {"text": _text(title)}, "automargin": True}
    return axis | ({"type": "log", "exponentformat": "e"} if log else {})


def _whole(values: pd.Series[Any]) -> dict[str, Any]:
    """Ticks of an axis of names, and of a few whole numbers, between which there is nothing."""
    if not pd.api.types.is_numeric_dtype(values):
        return {"type": "category"}
    few = pd.api.types.is_integer_dtype(values) and len(values) and np.ptp(values) <= _FEW_TICKS
    return {"dtick": 1} if few else {}


def _ticks(low: float, high: float, *, log: bool) -> dict[str, Any]:
    """Ticks of a colour bar of logarithms, that say the values."""
    if not log:
        return {}
    places = np.linspace(low, high, 5)
    return {"tickvals": places, "ticktext": [f"{10**place:.3g}" for place in places]}


def _text(value: object) -> str:
    return escape(str(value), quote=False)


def _plain(value: Any) -> Any:
    """For JSON: numbers that are none become null, as plotly leaves them out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, pd.Series)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
