"""Several studies on one page, and which are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from go4align.errors import UserError
from study import api
from study.report import build_comparison, write_report
from study.report.figure import Grid
from study.results import StoredStudy

MakeStudy = Callable[..., StoredStudy]


@pytest.fixture(scope="module")
def pair(make_study: MakeStudy) -> list[StoredStudy]:
    """The same methods but one, on four and on three tasks."""
    first = make_study("first", methods=["ls", "famo", "uw"], finals=2)
    benchmark = {"name": "toy", "n_tasks": 3}
    return [first, make_study("second", methods=["ls", "famo"], finals=2, benchmark=benchmark)]


def test_every_method_has_its_delta_m_and_rank_on_each_study(pair: list[StoredStudy], tmp_path: Path) -> None:
    report = build_comparison(pair)
    grid = next(part for section in report.sections for part in section.parts if isinstance(part, Grid))
    assert list(grid.columns) == ["method", "first: Δm %", "mean rank", "second: Δm %", "mean rank"]
    rows = {row[0]: row[1:] for row in grid.rows}
    assert rows["uw"][2:] == ["-", "-"], "the second study lacks it"
    for column, stored in ((0, pair[0]), (2, pair[1])):
        tuned = [row for row in stored.final_table(seeds=[101, 102]).rows if row.candidate.origin == "tuned"]
        for row in tuned:
            assert rows[row.candidate.method][column] == f"{row.delta_m:.1f} ± {row.delta_m_se:.1f}"
    assert {figure.key for figure in report.figures} == {"delta_m", "runtime"}
    write_report(report, tmp_path / "report.html")


def test_what_is_not_comparable_is_refused_unless_asked_for(pair: list[StoredStudy], make_study: MakeStudy) -> None:
    longer = make_study("longer", methods=["ls", "famo"], finals=3)
    with pytest.raises(UserError, match="differ in what final runs have .first: 2 seeds; longer: 3 seeds."):
        build_comparison([pair[0], longer])
    assert build_comparison([pair[0], longer], mixed=True).sections
    against = make_study("against", methods=["ls", "famo"], finals=2, reference={"method": "ls"})
    with pytest.raises(UserError, match="relative to .first: measured stl; against: measured ls.*--mixed"):
        build_comparison([pair[0], against])
    bare = make_study("bare", methods=["ls"], finals=0)
    with pytest.raises(UserError, match="The study 'bare' has no final runs to compare"):
        build_comparison([pair[0], bare], mixed=True)


def test_a_study_named_twice_is_one_study(pair: list[StoredStudy], tmp_path: Path) -> None:
    path = api.write_report(["first", "first"], tmp_path / "page.md", form="md", tracking_uri=pair[0].uri)
    assert path.read_text("utf-8").startswith("# first\n")
