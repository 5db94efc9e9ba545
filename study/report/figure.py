"""What a report is made of: sections of sentences, tables and figures. A figure is its data and how these are drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from study.analysis.co_assignment import Ordered


@dataclass(frozen=True)
class Lines:
    """A line per value of `by` through the points (`x`, `y`), which name columns of the figure's frame.

    Attributes:
        x_label, y_label: with units.
        log_y: whether y is logarithmic.
        markers: whether points are marked, as where lines are short.
        limits: of y; default what the values need.
    """

    x: str
    y: str
    by: str
    x_label: str
    y_label: str
    log_y: bool = False
    markers: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Points:
    """A point per row at (`x`, `y`); with error bars from `low` to `high` of y, and one colour per value of `by`.

    Attributes:
        text: column of what to call a point; it stands beside it where `labelled`.
        line: whether points of one colour are joined.
    """

    x: str
    y: str
    by: str
    x_label: str
    y_label: str
    text: str = ""
    labelled: bool = False
    low: str = ""
    high: str = ""
    log_x: bool = False
    line: bool = False


@dataclass(frozen=True)
class Bars:
    """A horizontal bar per row of length `value`, called `label`, in the frame's order from the top; with error bars
    from `low` to `high`, and bars of several values of `by` side by side."""

    label: str
    value: str
    value_label: str
    by: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Heat:
    """A coloured cell per row of the frame; `row` and `column` in the frame's order.

    Attributes:
        centred: whether colours part at zero, as for changes.
        log: whether colours are of the logarithm; cells that have none are blank.
        limits: of the colours; default the values'.
        written: whether cells show their values.
        column_label: with unit, where columns are no names.
        tree: whose leaves the rows are, drawn beside them.
    """

    row: str
    column: str
    value: str
    value_label: str
    centred: bool = False
    log: bool = False
    limits: tuple[float, float] | None = None
    written: bool = False
    column_label: str = ""
    tree: Ordered | None = None


@dataclass(frozen=True)
class Parallel:
    """A line per row through an axis per column, coloured by the last one.

    Attributes:
        logarithmic: columns on a log scale.
    """

    columns: tuple[str, ...]
    logarithmic: frozenset[str] = frozenset()


Marks = Lines | Points | Bars | Heat | Parallel


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        key: its file's name, without ending; whatever else than letters, digits, "-", "_" and "." it holds becomes "_".
        title: what is drawn.
        sentence: what to see, from these data.
        frame: the data, a CSV file of their own.
        marks: how they are drawn.
    """

    key: str
    title: str
    sentence: str
    frame: pd.DataFrame
    marks: Marks

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", re.sub(r"[^\w.-]", "_", self.key))


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        title: what it holds.
        columns: the heads.
        rows: the cells.
        caption: what the columns mean.
        names: how many columns at the left hold names; the others hold numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    names: int = 1


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        key: where a link to it leads.
        title: its heading.
        sentences: paragraphs above its tables and figures.
        parts: tables and figures in order.
        code: commands, a block of their own.
    """

    key: str
    title: str
    sentences: Sequence[str] = ()
    parts: Sequence[Grid | Figure] = ()
    code: Sequence[str] = field(default=())

    @property
    def figures(self) -> list[Figure]:
        return [part for part in self.parts if isinstance(part, Figure)]


@dataclass(frozen=True)
class Report:
    """All of it, before it is written in any format.

    Attributes:
        title: its heading.
        subtitle: what was studied and when, in a line.
        sections: in order; the first answers.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]

    @property
    def figures(self) -> list[Figure]:
        return [figure for section in self.sections for figure in section.figures]
