"""What a report says, and that whatever a store holds gives a page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

from go4align.errors import UserError
from study import api
from study.report import build_report, write_report
from study.report.figure import Figure, Grid, Report, Section
from study.results import StoredStudy, open_study
from study.store.client import connect
from study.store.uri import artifact_path

MakeStudy = Callable[..., StoredStudy]


def _section(report: Report, key: str) -> Section:
    return next(section for section in report.sections if section.key == key)


def _figure(report: Report, key: str) -> Figure:
    return next(figure for figure in report.figures if figure.key == key)


def _grid(section: Section, title: str) -> Grid:
    return next(part for part in section.parts if isinstance(part, Grid) and part.title == title)


def test_the_answer_comes_first_and_is_decided_where_the_seeds_decide(whole: StoredStudy) -> None:
    report = build_report(whole)
    answer = " ".join(report.sections[0].sentences)
    assert report.sections[0].key == "answer"
    assert "go4align is the best of 3 tuned methods" in answer
    assert "6 seeds" in answer and ": decided" in answer
    assert [section.key for section in report.sections] == [
        "answer", "results", "tradeoffs", "grouping", "search", "curves", "time", "record",
    ]  # fmt: skip


def test_the_table_is_that_of_the_final_runs(whole: StoredStudy) -> None:
    results = _section(build_report(whole), "results")
    table = whole.final_table(seeds=range(101, 107))
    rows = {tuple(row[:2]): row for row in _grid(results, "Methods over the final seeds").rows}
    for row in table.rows:
        origin = "tuned" if row.candidate.origin == "tuned" else "published defaults"
        cells = rows[row.candidate.method, origin]
        assert cells[2] == f"{row.delta_m:.1f}" and cells[-1] == "6"
    assert [row[0] for row in _grid(results, "Every metric").rows] == [f"task{m}/mae" for m in range(4)]


def test_every_figure_says_what_to_see_and_has_its_data(whole: StoredStudy) -> None:
    report = build_report(whole)
    keys = [figure.key for figure in report.figures]
    assert len(set(keys)) == len(keys)
    for figure in report.figures:
        assert figure.sentence.endswith("."), figure.key
        assert len(figure.frame) > 0, figure.key
    shares = _figure(report, "co-assignment-go4align").frame
    assert len(shares) == 4 * 4 and shares["share"].between(0, 1).all()
    changes = _figure(report, "changes").frame
    assert set(changes["method"]) == {"ls", "famo", "go4align"}


def test_with_too_few_seeds_the_page_says_what_cannot_be_said(make_study: MakeStudy) -> None:
    report = build_report(make_study("few", finals=1))
    assert "one seed cannot decide" in " ".join(report.sections[0].sentences)
    assert "With one seed, no order of two methods" in " ".join(_section(report, "results").sentences)


def test_a_tuned_k_of_all_tasks_is_called_no_grouping(make_study: MakeStudy) -> None:
    variants = {"apart": {"name": "go4align", "n_groups": 4}}
    report = build_report(make_study("apart", variants=variants, methods=["apart", "ls"]))
    assert "K = 4 groups for 4 tasks, that is, no grouping" in " ".join(report.sections[0].sentences)
    assert "no grouping to speak of" in " ".join(_section(report, "grouping").sentences)


def test_a_sweep_over_k_has_its_curve_and_a_search_over_all_has_none(make_study: MakeStudy, whole: StoredStudy) -> None:
    variants = {f"k{k}": {"name": "go4align", "n_groups": k, "beta": 1e-7, "space": "log"} for k in (1, 2, 3, 4)}
    swept = make_study("sweep", variants=variants, methods=list(variants), budget={"trials": 1}, stop_every=0)
    curve = _figure(build_report(swept), "k-sweep").frame
    assert list(curve["n_groups"]) == [1, 2, 3, 4]
    assert "k-sweep" not in [figure.key for figure in build_report(whole).figures]


def test_a_best_value_at_the_edge_of_its_range_is_told(make_study: MakeStudy, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    narrow = "{type: float, low: 1.0e-4, high: 1.0e-3, log: true, default: 1.0e-3}"  # 5e-3 would be best
    space.write_text(f"benchmark: toy\nmethods:\n  ls:\n    lr: {narrow}\n")
    stored = make_study("edge", methods=["ls"], search_space=str(space), stop_every=0)
    sentences = " ".join(_section(build_report(stored), "search").sentences)
    assert "The best trial of ls lies at the edge of its range: lr" in sentences


@pytest.mark.parametrize(
    "changes",
    [
        {"finals": 0},
        {"methods": ["ls", "famo"]},
        {"methods": ["go4align"], "budget": {"trials": 1}, "stop_every": 0, "finals": 1},
        {"benchmark": {"name": "toy", "n_tasks": 1}, "methods": ["ls", "uw"], "finals": 2},
        {"benchmark": {"name": "toy", "n_tasks": 2}},
        {"fail_every": 2},
    ],
    ids=["no-finals", "no-groups", "one-trial", "one-task", "two-tasks", "failures"],
)
def test_any_study_gives_a_page_and_a_text(make_study: MakeStudy, tmp_path: Path, changes: dict[str, Any]) -> None:
    report = build_report(make_study("any", **changes))
    for form, name in (("html", "a.html"), ("md", "a.md")):
        write_report(report, tmp_path / name, form)  # type: ignore[arg-type]
        assert "any" in (tmp_path / name).read_text("utf-8")


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    return store_in(tmp_path, empty_store)


def test_a_study_that_runs_or_failed_whole_gives_a_page(store: str, tmp_path: Path) -> None:
    tracker = opened(store, small_study("running"))
    tracker.start(small_trial("go4align-0"))
    tracker.close("interrupted")
    report = build_report(open_study("running", store))
    assert "study final running" in " ".join(report.sections[0].sentences)
    tracker = opened(store, small_study("failed"))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", None, status="failed", reason="<script>alert(1)</script>"))
    tracker.close("failed")
    report = build_report(open_study("failed", store))
    assert _grid(_section(report, "record"), "Failed trials").rows == [["ls-0", "<script>alert(1)</script>"]]
    write_report(report, tmp_path / "failed.html")
    assert "<script>alert" not in (tmp_path / "failed.html").read_text("utf-8")


def test_files_that_are_missing_are_left_out_with_a_warning(make_study: MakeStudy) -> None:
    stored = make_study("torn")
    for run in stored._run.trials[::2]:
        folder = artifact_path(run.info.artifact_uri, stored._uri)
        assert folder is not None
        for path in folder.glob("*.parquet"):
            path.write_bytes(path.read_bytes()[:20])
    with pytest.warns(UserWarning, match="cannot be read and are left out"):
        report = build_report(stored)
    assert _section(report, "grouping").parts


def test_pictures_lie_in_their_folder_with_their_data_and_the_store_is_untouched(
    whole: StoredStudy, tmp_path: Path
) -> None:
    before = {run.info.run_id: run.to_dictionary() for run in (whole._run.parent, *whole._run.trials)}
    report = build_report(whole)
    write_report(report, tmp_path / "text" / "whole.md", "md", tmp_path / "pictures")
    files = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert files == {f"{figure.key}.{ending}" for figure in report.figures for ending in ("svg", "png", "csv")}
    assert "](../pictures/delta_m.svg)" in (tmp_path / "text" / "whole.md").read_text("utf-8")
    whole.refresh()
    assert {run.info.run_id: run.to_dictionary() for run in (whole._run.parent, *whole._run.trials)} == before


def test_a_report_is_kept_with_the_study_where_that_is_asked_for(make_study: MakeStudy, tmp_path: Path) -> None:
    stored = make_study("kept", methods=["ls"], finals=0)
    path = api.write_report("kept", tmp_path / "kept.md", form="md", log=True, tracking_uri=stored.uri)
    folder = artifact_path(stored._run.parent.info.artifact_uri, stored.uri)
    assert folder is not None
    assert (folder / "report.md").read_text("utf-8") == path.read_text("utf-8")
    client = connect(stored.uri)
    client.set_tag(stored.run_id, "status", "running")
    with pytest.raises(UserError, match="'kept' is running. Leave out `--log`"):
        api.write_report("kept", tmp_path / "kept.md", form="md", log=True, tracking_uri=stored.uri)


def test_a_place_that_cannot_be_written_to_is_one_line(whole: StoredStudy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: .*Name another file") as caught:
        write_report(build_report(whole), tmp_path / "file" / "page.html")
    assert "\n" not in str(caught.value)
