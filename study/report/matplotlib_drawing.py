"""Figures without a browser: SVG and PNG by matplotlib, from the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram

from study.report.colours import BETTER_TO_WORSE, GOOD_TO_BAD, SEQUENTIAL, between, colour, dash
from study.report.figure import Bars, Figure, Heat, Lines, Marks, Parallel, Points
from study.report.scales import colour_limits, logarithms, matrix, parallel_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_WIDTH = 8.0
"""Inches."""
_ROW = 0.28
_DPI = 120
_STYLES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


def draw(figure: Figure, *files: Path) -> None:
    """Write a figure to files, in the formats of their endings."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": figure.key, "font.size": 9, "axes.spines.top": False}
    with mpl.rc_context({**settings, "axes.spines.right": False}):
        canvas = Canvas(figsize=(_WIDTH, _height(figure)), layout="constrained")
        FigureCanvasAgg(canvas)
        axes = canvas.add_subplot()
        axes.set_title(_text(figure.title), loc="left")
        _DRAWINGS[type(figure.marks)](axes, figure.frame, figure.marks)
        for file in files:
            metadata = {"Date": None} if file.suffix == ".svg" else {}
            canvas.savefig(file, dpi=_DPI, metadata=metadata)


def _height(figure: Figure) -> float:
    marks, frame = figure.marks, figure.frame
    if isinstance(marks, Bars):
        return float(max(2.0, 1.2 + _ROW * len(frame)))
    if isinstance(marks, Heat):
        return float(max(2.5, 1.6 + _ROW * frame[marks.row].nunique()))
    return 4.0


def _lines(axes: Axes, frame: pd.DataFrame, marks: Lines) -> None:
    for i, name in enumerate(dict.fromkeys(frame[marks.by])):
        own = frame[frame[marks.by] == name]
        marker = "o" if marks.markers else ""
        style: dict[str, Any] = {"color": colour(i), "linestyle": _STYLES[dash(i)], "marker": marker, "markersize": 4}
        axes.plot(own[marks.x], own[marks.y], label=_text(name), **style)
    _label(axes, marks.x_label, marks.y_label)
    if marks.log_y:
        axes.set_yscale("log")
    if marks.limits:
        axes.set_ylim(*marks.limits)
    _legend(axes)


def _points(axes: Axes, frame: pd.DataFrame, marks: Points) -> None:
    groups = list(dict.fromkeys(frame[marks.by])) if marks.by else [None]
    for i, name in enumerate(groups):
        own = frame if name is None else frame[frame[marks.by] == name]
        errors = None
        if marks.low:
            errors = np.clip([own[marks.y] - own[marks.low], own[marks.high] - own[marks.y]], 0, None)
        style: dict[str, Any] = {"fmt": "o-" if marks.line else "o", "color": colour(i), "capsize": 2, "markersize": 5}
        axes.errorbar(own[marks.x], own[marks.y], yerr=errors, label="" if name is None else _text(name), **style)
        if marks.labelled:
            for x, y, text in zip(own[marks.x], own[marks.y], own[marks.text], strict=True):
                axes.annotate(_text(text), (x, y), xytext=(5, 5), textcoords="offset points")
    _label(axes, marks.x_label, marks.y_label)
    if marks.log_x:
        axes.set_xscale("log")
    if len(groups) > 1 and not marks.labelled:
        _legend(axes)


def _bars(axes: Axes, frame: pd.DataFrame, marks: Bars) -> None:
    labels = list(dict.fromkeys(frame[marks.label]))
    groups = list(dict.fromkeys(frame[marks.by])) if marks.by else [None]
    thick = 0.8 / len(groups)
    for i, name in enumerate(groups):
        own = frame if name is None else frame[frame[marks.by] == name]
        places = [labels.index(label) + (i - (len(groups) - 1) / 2) * thick for label in own[marks.label]]
        errors = None
        if marks.low:
            errors = np.clip([own[marks.value] - own[marks.low], own[marks.high] - own[marks.value]], 0, None)
        label = "" if name is None else _text(name)
        axes.barh(places, own[marks.value], thick, xerr=errors, color=colour(i), label=label, ecolor="0.4")
    axes.set_yticks(range(len(labels)), list(map(_text, labels)))
    axes.invert_yaxis()
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_xlabel(_text(marks.value_label))
    if len(groups) > 1:
        _legend(axes)


def _heat(axes: Axes, frame: pd.DataFrame, marks: Heat) -> None:
    from matplotlib.ticker import FuncFormatter

    wide = matrix(frame, marks)
    low, high = colour_limits(frame, marks)
    values = wide.to_numpy(float)
    colours = _scale(BETTER_TO_WORSE) if marks.centred else SEQUENTIAL.lower()
    image = axes.imshow(logarithms(values) if marks.log else values, aspect="auto", cmap=colours, vmin=low, vmax=high)
    axes.set_yticks(range(len(wide)), list(map(_text, wide.index)))
    if marks.column_label:
        every = max(1, len(wide.columns) // 10)
        axes.set_xticks(range(0, len(wide.columns), every), [str(column) for column in wide.columns[::every]])
        axes.set_xlabel(_text(marks.column_label))
    else:
        axes.set_xticks(range(len(wide.columns)), list(map(_text, wide.columns)), rotation=45, ha="right")
    if marks.written:
        middle = (low + high) / 2
        for i, j in np.ndindex(*wide.shape):
            value = values[i, j]
            dark = value < middle if not marks.centred else abs(value) > 0.6 * high
            if np.isfinite(value):
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if dark else "black")
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, ax=axes, label=_text(marks.value_label))
    if marks.log:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{10**place:.3g}"))
    if marks.tree is not None:
        _tree(axes, marks, len(wide))


def _tree(axes: Axes, marks: Heat, n_rows: int) -> None:
    assert marks.tree is not None
    beside = axes.inset_axes((1.01, 0.0, 0.16, 1.0))
    drawn = dendrogram(marks.tree.links, no_plot=True)
    for depth, place in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        beside.plot(depth, place, color="0.4", linewidth=1)
    beside.set_ylim(10 * n_rows, 0)
    beside.axis("off")


def _parallel(axes: Axes, frame: pd.DataFrame, marks: Parallel) -> None:
    columns = parallel_axes(frame, marks)
    for trial in zip(*(column.heights for column in columns), strict=True):
        axes.plot(range(len(columns)), trial, color=between(GOOD_TO_BAD, trial[-1]), linewidth=1, alpha=0.8)
    axes.set_xticks(range(len(columns)), [_text(column.name) for column in columns])
    axes.set_yticks([])
    for i, column in enumerate(columns):
        axes.axvline(i, color="0.6", linewidth=0.8)
        for height, text in column.ticks.items():
            axes.annotate(_text(text), (i, height), xytext=(3, 0), textcoords="offset points", fontsize=7)


_DRAWINGS: dict[type[Marks], Any] = {Lines: _lines, Points: _points, Bars: _bars, Heat: _heat, Parallel: _parallel}


def _scale(colours: Sequence[str]) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("scale", list(colours))


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(_text(x))
    axes.set_ylabel(_text(y))


def _legend(axes: Axes) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _text(value: object) -> str:
    """Matplotlib takes what stands between two dollars for a formula."""
    return str(value).replace("$", r"\$")
