"""Where values lie on axes and scales of colours, whatever draws them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.report.figure import Heat, Parallel


def matrix(frame: pd.DataFrame, marks: Heat) -> pd.DataFrame:
    """Rows and columns of a heat map in the frame's order."""
    wide = frame.pivot(index=marks.row, columns=marks.column, values=marks.value)
    return wide.reindex(index=list(dict.fromkeys(frame[marks.row])), columns=list(dict.fromkeys(frame[marks.column])))


def logarithms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To base 10; of what has none, NaN, which is left blank."""
    return np.log10(np.where(values > 0, values, np.nan))


def colour_limits(frame: pd.DataFrame, marks: Heat) -> tuple[float, float]:
    """Of a heat map's colours, logarithms where it is logarithmic; even about zero where it parts there."""
    if marks.limits:
        return marks.limits
    values = frame[marks.value].to_numpy(float)
    if marks.log:
        values = np.log10(values[values > 0])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    if marks.centred:
        reach = float(np.quantile(np.abs(values), 0.95)) or float(np.abs(values).max()) or 1.0
        return -reach, reach
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


class ParallelAxis(NamedTuple):
    """One axis of parallel coordinates: where each row crosses it (0 to 1) and its value there, and the ticks' texts by
    height."""

    name: str
    heights: list[float]
    texts: list[str]
    ticks: dict[float, str]


def parallel_axes(frame: pd.DataFrame, marks: Parallel) -> list[ParallelAxis]:
    """The axes from left to right: words at equal distances, numbers between their extremes."""
    return [_parallel_axis(column, frame[column], log=column in marks.logarithmic) for column in marks.columns]


def _parallel_axis(name: str, values: pd.Series[Any], *, log: bool) -> ParallelAxis:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        texts = list(map(str, values))
        known = sorted(set(texts), key=_by_number)
        steps = {text: i / (len(known) - 1) if len(known) > 1 else 0.5 for i, text in enumerate(known)}
        return ParallelAxis(name, [steps[text] for text in texts], texts, {step: text for text, step in steps.items()})
    texts = [f"{value:.3g}" for value in values]
    places = np.log10(values.to_numpy(float)) if log else values.to_numpy(float)
    low, high = float(places.min()), float(places.max())
    if high <= low:
        return ParallelAxis(name, [0.5] * len(texts), texts, {0.5: texts[0]})
    heights = ((places - low) / (high - low)).tolist()
    return ParallelAxis(name, heights, texts, {0.0: texts[int(places.argmin())], 1.0: texts[int(places.argmax())]})


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
