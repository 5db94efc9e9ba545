"""The test of grouping as a stage: trained once, read again, continued with more seeds and after an interruption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import study
from go4align.errors import UserError
from study import api
from study.report import build_report
from study.results import ARMS, GroupingResult, open_study
from study.stages import session
from study.stages.plan import newest_plan

NAME = "does-it-help"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uri(ray_cluster: None, go4align_home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a study whose one method groups."""
    uri = f"sqlite:///{go4align_home / 'grouping.db'}"
    content = {
        "name": NAME,
        "benchmark": {"name": "toy", "train_size": 128},
        "training": {"epochs": 2, "batch_size": 64, "lr": 5.0e-3},
        "variants": {"thirds": {"name": "go4align", "n_groups": 3, "space": "log"}},
        "methods": ["thirds"],
        "search_space": "toy",
        "budget": {"trials": 1},
        "scheduler": {"name": "fifo"},
    }
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    study.run(str(path), tracking_uri=uri)
    return uri


def _trained(uri: str) -> list[str]:
    trials = open_study(NAME, uri).trials
    return sorted(trials.loc[trials["stage"] == "grouping", "trial"])


def test_it_is_a_stage_like_the_others(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trials = session.run_trials
    calls = 0

    def interrupted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return run_trials(*args, **options)

    monkeypatch.setattr(session, "run_trials", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.does_grouping_help(NAME, seeds=2, tracking_uri=uri)
    grid = _trained(uri)
    assert len(grid) == 3 * len(ARMS) and all(trial.startswith("grouping-lr-") for trial in grid)

    found = study.resume(NAME, tracking_uri=uri)
    assert isinstance(found, GroupingResult)
    assert [arm.arm for arm in found.arms] == list(ARMS)
    assert all(len(arm.delta_m) == 2 for arm in found.arms)
    assert found.verdict == "Undecided: too few seeds."
    assert len(_trained(uri)) == (3 + 2) * len(ARMS)
    plan = newest_plan(NAME, uri)
    assert plan is not None and plan.grouping is None

    monkeypatch.setattr(session, "run_trials", _nothing_is_trained)
    assert api.does_grouping_help(NAME, seeds=2, tracking_uri=uri) == found
    monkeypatch.setattr(session, "run_trials", run_trials)
    more = api.does_grouping_help(NAME, seeds=3, tracking_uri=uri)
    assert all(len(arm.delta_m) == 3 for arm in more.arms)
    assert len(_trained(uri)) == (3 + 3) * len(ARMS)

    stored = open_study(NAME, uri)
    report = build_report(stored)
    assert "Undecided: too few seeds." in " ".join(report.sections[0].sentences)
    assert "grouping-test" in [figure.key for figure in report.figures]
    assert stored.tags["status"] == stored.tags["search_status"] == "finished"


def test_no_seeds_are_one_line(uri: str) -> None:
    with pytest.raises(UserError, match="`--seeds` must be a whole number from 1 to 1000, found 0"):
        api.does_grouping_help(NAME, seeds=0, tracking_uri=uri)


def _nothing_is_trained(*args: Any, **options: Any) -> Callable[..., Any]:
    raise AssertionError("all of it is in the store")
