"""The groups that trials agree on: known ones are found, and a study file takes them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from go4align.errors import UserError
from study import api
from study.report import find_groups
from study.results import StoredStudy
from study.spec.study_file import StudyFile

MakeStudy = Callable[..., StoredStudy]


@pytest.fixture(scope="module")
def halves(make_study: MakeStudy) -> StoredStudy:
    """All trials have two groups: the first two tasks, and the last two."""
    variants = {"halves": {"name": "go4align", "n_groups": 2, "beta": 1e-7}}
    return make_study("halves", variants=variants, methods=["halves", "ls"], finals=2)


def test_the_groups_that_every_trial_has_are_found(halves: StoredStudy) -> None:
    found = find_groups(halves)
    assert (found.method, found.what) == ("halves", "tuned final runs")
    assert found.labels == {"task0": 0, "task1": 0, "task2": 1, "task3": 1}
    assert found.shares.loc["task0", "task1"] == 1.0 and found.shares.loc["task0", "task2"] == 0.0
    assert len(found.trials) == 2


def test_a_study_file_takes_what_was_written(halves: StoredStudy, tmp_path: Path) -> None:
    file = tmp_path / "groups.yaml"
    api.groups("halves", out=file, tracking_uri=halves._uri)
    written = yaml.safe_load(file.read_text())
    values = halves.study.model_dump(mode="json") | written | {"methods": ["found-groups"]}
    study = StudyFile.model_validate(values)
    section = study.method("found-groups")
    section.check(("a", "b", "c", "d"))
    assert section.options["clustering_options"] == {"labels": [0, 0, 1, 1]}
    assert section.options["beta"] == 1e-7


def test_what_has_no_groups_is_one_line(halves: StoredStudy, make_study: MakeStudy) -> None:
    with pytest.raises(UserError, match=r"method with groups of the study 'halves' 'ls'.*Known: halves"):
        find_groups(halves, "ls")
    with pytest.raises(UserError, match="No trial of the study 'plain' that has ended has groups. Run one of"):
        find_groups(make_study("plain", methods=["ls"], finals=0))
    single = make_study("single", benchmark={"name": "toy", "n_tasks": 1}, methods=["go4align"], finals=0)
    with pytest.raises(UserError, match="The study 'single' has one task: there is nothing to group"):
        find_groups(single)
