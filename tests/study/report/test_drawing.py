"""Every kind of mark, drawn for a browser and for files, with the values that are hard to draw."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from study.analysis.co_assignment import ordered
from study.report.colours import GOOD_TO_BAD, between
from study.report.figure import Bars, Figure, Heat, Lines, Parallel, Points
from study.report.matplotlib_drawing import draw
from study.report.plotly_drawing import plotly_json

EVIL = "<img src=x onerror=alert(1)>$x$"
SHARES = pd.DataFrame([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]], index=list("abc"), columns=list("abc"))
TREE = ordered(SHARES)
CELLS = TREE.shares.rename_axis(index="task").reset_index().melt("task", var_name="other", value_name="share")
FIGURES = {
    "lines": (
        pd.DataFrame({"x": [1, 2, 1, 2], "y": [1.0, np.nan, 0.0, 10.0], "by": ["a", "a", EVIL, EVIL]}),
        Lines("x", "y", "by", "epoch", "loss", log_y=True, markers=True),
    ),
    "points": (
        pd.DataFrame({"x": ["2", "auto"], "y": [1.0, 2.0], "low": [0.5, 1.0], "high": [2.0, 2.5], "t": [EVIL, "b"]}),
        Points("x", "y", "", "K", "score", "t", labelled=True, low="low", high="high"),
    ),
    "bars": (
        pd.DataFrame({"m": [EVIL, "b"], "v": [1.0, -2.0], "low": [np.nan, -3.0], "high": [np.nan, -1.0]}),
        Bars("m", "v", "%", low="low", high="high"),
    ),
    "grouped": (
        pd.DataFrame({"m": ["a", "b", "a"], "v": [1.0, 2.0, 3.0], "by": ["s", "s", EVIL]}),
        Bars("m", "v", "s", by="by"),
    ),
    "heat": (
        pd.DataFrame({"r": ["a", EVIL], "c": ["x", "y"], "v": [1.0, -5.0]}),
        Heat("r", "c", "v", "%", centred=True),
    ),
    "weights": (
        pd.DataFrame({"r": ["a", "b"], "c": [1, 1], "v": [0.0, 1e9]}),
        Heat("r", "c", "v", "w", log=True, column_label="epoch"),
    ),
    "tree": (CELLS, Heat("task", "other", "share", "share", limits=(0.0, 1.0), written=True, tree=TREE)),
    "parallel": (
        pd.DataFrame({"lr": [1e-3, 1e-2, 1e-2], "K": [2, EVIL, "auto"], "fixed": [1, 1, 1], "score": [3.0, 1.0, 2.0]}),
        Parallel(("lr", "K", "fixed", "score"), frozenset({"lr"})),
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_drawn_for_a_browser_without_any_markup_of_a_study(name: str) -> None:
    text = plotly_json(Figure(name, "title", "What to see.", *FIGURES[name]))
    assert "<" not in text, "a script element would end there"
    assert "NaN" not in text and "Infinity" not in text
    drawn = json.loads(text)
    assert drawn["data"]
    said = json.dumps(drawn, ensure_ascii=False)
    assert "<img" not in said, "plotly reads tags"


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_drawn_without_a_browser_the_same_way_every_time(name: str, tmp_path: Path) -> None:
    figure = Figure(name, "title", "What to see.", *FIGURES[name])
    draw(figure, tmp_path / "a.svg", tmp_path / "a.png")
    draw(figure, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    with Image.open(tmp_path / "a.png") as picture:
        colours = picture.convert("RGB").getcolors(picture.width * picture.height)
    assert colours is not None and len(colours) > 10, "something is on it"


def test_a_key_is_a_file_s_name_whatever_it_is_made_of() -> None:
    assert Figure("groups-../../etc/passwd", "", "", *FIGURES["bars"]).key == "groups-.._.._etc_passwd"


def test_a_colour_between_two_is_mixed_and_the_ends_are_kept() -> None:
    assert (between(GOOD_TO_BAD, 0.0), between(GOOD_TO_BAD, 1.0)) == (GOOD_TO_BAD[0], GOOD_TO_BAD[-1])
    assert between(("#000000", "#FFFFFF"), 0.5) == "#808080"
    assert between(GOOD_TO_BAD, 7.0) == GOOD_TO_BAD[-1]
