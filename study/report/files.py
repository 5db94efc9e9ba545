"""The files of a report: a page or a Markdown text, and pictures with their data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from go4align.disk import write_whole
from go4align.errors import UserError
from study.report.figure import Report
from study.report.html import html
from study.report.markdown import markdown
from study.report.matplotlib_drawing import draw

Format = Literal["html", "md"]


def write_report(report: Report, path: Path, form: Format = "html", pictures: Path | None = None) -> None:
    """Write a report, whole or not at all.

    Args:
        report: what it says.
        path: of the page or text.
        form: "html" or "md".
        pictures: a folder for every figure as SVG, PNG and CSV; made if missing. Default none.

    Raises:
        UserError: one of the files cannot be written.
    """
    try:
        if pictures is not None:
            _draw_all(report, pictures)
        text = html(report) if form == "html" else markdown(report, _from(path, pictures))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be written: {error.strerror}. Name another file.") from None


def _draw_all(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for figure in report.figures:
        draw(figure, folder / f"{figure.key}.svg", folder / f"{figure.key}.png")
        figure.frame.to_csv(folder / f"{figure.key}.csv", index=False)


def _from(path: Path, pictures: Path | None) -> str | None:
    """A folder as seen from a file's."""
    return None if pictures is None else Path(os.path.relpath(pictures, path.parent)).as_posix()
