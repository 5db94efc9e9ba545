"""A report as Markdown, for a README: sentences, tables, and pictures where they were drawn."""

from __future__ import annotations

import re

from study.report.figure import Figure, Grid, Report


def markdown(report: Report, pictures: str | None = None) -> str:
    """The text.

    Args:
        report: what it says.
        pictures: folder of the figures, as seen from the file; None leaves figures their sentences alone.
    """
    blocks = [f"# {_text(report.title)}", _text(report.subtitle)]
    for section in report.sections:
        blocks += [f"## {_text(section.title)}", *map(_text, section.sentences)]
        for part in section.parts:
            blocks += _figure(part, pictures) if isinstance(part, Figure) else [_grid(part)]
        if section.code:
            blocks.append("\n".join(["```", *section.code, "```"]))
    return "\n\n".join(blocks) + "\n"


def _figure(figure: Figure, pictures: str | None) -> list[str]:
    said = f"**{_text(figure.title)}.** {_text(figure.sentence)}"
    return [said] if pictures is None else [said, f"![{_text(figure.title)}]({pictures}/{figure.key}.svg)"]


def _grid(grid: Grid) -> str:
    rules = ["---" if i < grid.names else "---:" for i in range(len(grid.columns))]
    lines = [grid.columns, rules, *grid.rows]
    head = f"**{_text(grid.title)}.** {_text(grid.caption)}".strip()
    cells = [[cell if line is rules else _cell(cell) for cell in line] for line in lines]
    return "\n".join([head, "", *(f"| {' | '.join(line)} |" for line in cells)])


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("\n", " ")


def _text(text: str) -> str:
    """What a study was named cannot become markup; commands in backquotes stay."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\*_\[\]<>#])", r"\\\1", part) for i, part in enumerate(parts))
