"""A report as one HTML file that opens from disk without a network."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from study.report.figure import Figure, Grid, Report
from study.report.plotly_drawing import plotly_json

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def html(report: Report) -> str:
    """The page: plotly's code in it, every text of a study escaped."""
    from plotly.offline import get_plotlyjs

    template = _environment().get_template("page.html")
    return template.render(report=report, plotly=get_plotlyjs())


def _code(text: str) -> Markup:
    """A sentence with its commands, which stand in backquotes, set as code; all of it escaped."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("study.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = plotly_json
    environment.filters["code"] = _code
    environment.tests["figure"] = lambda part: isinstance(part, Figure)
    environment.tests["grid"] = lambda part: isinstance(part, Grid)
    environment.globals["style"] = files("study.report").joinpath("page.css").read_text("utf-8")
    environment.globals["script"] = files("study.report").joinpath("page.js").read_text("utf-8")
    return environment
