"""Going on with a study: what is complete, what has changed, what more budget buys, and what another study lends."""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

import study
from go4align import UserError
from go4align.benchmarks.toy import Toy
from study.results import open_study, studies
from study.search.storage import LENT, open_storage, own_trials
from study.spec import loading, search_space
from study.stages import session
from study.stages.plan import newest_plan

Write = Callable[..., Path]


@pytest.fixture
def uri(ray_cluster: None, go4align_home: Path) -> str:
    """One store for all, so that single-task references are trained once."""
    return f"sqlite:///{go4align_home / 'resume.db'}"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, **changes: Any) -> Path:
        content = {
            "name": name,
            "benchmark": {"name": "toy", "train_size": 128},
            "training": {"epochs": 2, "batch_size": 64, "lr": 5.0e-3},
            "methods": ["ls"],
            "search_space": "toy",
            "budget": {"trials": 2},
            "scheduler": {"name": "fifo"},
            **changes,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return written


def searched(name: str, uri: str) -> list[str]:
    table = open_study(name, uri).trials
    return sorted(table[table.stage == "search"].trial)


def test_all_is_read_and_built_once_before_the_first_trial(
    uri: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    before_training: list[Counter[str]] = []

    def wrap(owner: Any, name: str, first: Callable[..., object]) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def call(*args: Any, **options: Any) -> Any:
            first(*args)
            return original(*args, **options)

        monkeypatch.setattr(owner, name, call)

    wrap(Toy, "__init__", lambda *_: counts.update(["benchmark"]))
    wrap(loading, "read_text", lambda _, kind: counts.update([kind]))
    wrap(search_space, "read_yaml", lambda path, kind: counts.update([f"{kind} {path.stem}"]))
    wrap(session, "run_trials", lambda *_: before_training.append(counts.copy()))
    study.run(str(write("read-once")), tracking_uri=uri, max_trials=1)
    assert before_training[0] == {
        "study file": 1,
        "search space toy": 1,
        "search space methods": 1,
        "benchmark": 1,
    }


def test_options_that_mean_nothing_here_are_refused(uri: str, write: Write) -> None:
    path = str(write("refused"))
    with pytest.raises(UserError, match="`accept_changes` is for a study that has begun"):
        study.run(path, accept_changes=True, tracking_uri=uri)
    with pytest.raises(UserError, match="`again` begins a new run"):
        study.resume(path, again=True, tracking_uri=uri)
    with pytest.raises(UserError, match="Did you mean 'max_trials'"):
        study.run(path, max_trails=1)


def test_a_launch_is_taken_whole_and_with_options_instead_of_its_own(uri: str, write: Write) -> None:
    launch = study.Launch(source=str(write("whole")), max_trials=1, tracking_uri=uri)
    study.run(launch)
    assert searched("whole", uri) == ["search-ls-000"]
    study.resume(launch, max_trials=2)
    assert searched("whole", uri) == ["search-ls-000", "search-ls-001"]


def test_a_complete_study_is_not_trained_again(uri: str, write: Write) -> None:
    first = study.run(str(write("complete")), tracking_uri=uri)
    assert study.resume("complete", tracking_uri=uri) == first
    with pytest.raises(UserError, match="exists already.*study resume complete"):
        study.run(str(write("complete")), tracking_uri=uri)
    assert searched("complete", uri) == ["search-ls-000", "search-ls-001"]


def test_a_changed_study_file_is_refused_with_what_changed_and_accepted_on_request(uri: str, write: Write) -> None:
    path = write("changing")
    study.run(str(path), tracking_uri=uri)
    write("changing", budget={"trials": 3}, scheduler={"name": "asha"})
    with pytest.raises(UserError, match=r"`budget.trials`: 2 -> 3; `scheduler.name`: fifo -> asha.*--accept-changes"):
        study.resume("changing", tracking_uri=uri)
    study.resume("changing", accept_changes=True, tracking_uri=uri)
    assert searched("changing", uri) == ["search-ls-000", "search-ls-001", "search-ls-002"]
    assert open_study("changing", uri).study.budget.trials == 3
    study.resume(str(path), tracking_uri=uri)  # what was accepted is no change any more


def test_a_changed_search_space_is_refused_and_takes_over_what_fits(uri: str, write: Write, tmp_path: Path) -> None:
    space = {
        "benchmark": "toy",
        "common": {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}},
        "methods": {"ls": {}},
    }
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(space))
    write("respaced", search_space=str(file))
    study.run(str(tmp_path / "respaced.yaml"), tracking_uri=uri)
    space["common"]["lr"] |= {"low": 4e-3, "high": 6e-3, "log": False}  # type: ignore[index]
    file.write_text(yaml.safe_dump(space))
    with pytest.raises(UserError, match=r"search space `common.lr.high`: 0.1 -> 0.006"):
        study.resume("respaced", tracking_uri=uri)
    write("respaced", search_space=str(file), budget={"trials": 3})
    study.resume("respaced", accept_changes=True, tracking_uri=uri)
    assert searched("respaced", uri) == ["search-ls-000", "search-ls-001", "search-ls-002"]
    table = open_study("respaced", uri).trials.set_index("trial")
    assert 4e-3 <= float(table.loc["search-ls-002", "params.lr"]) <= 6e-3


def test_limits_end_a_study_cleanly_and_more_budget_goes_on(uri: str, write: Write) -> None:
    path = str(write("limited", budget={"trials": 4}))
    study.run(path, max_trials=1, tracking_uri=uri)
    assert searched("limited", uri) == ["search-ls-000"]
    study.resume("limited", max_trials=3, tracking_uri=uri)
    assert len(searched("limited", uri)) == 3
    study.resume("limited", max_hours=1e-9, tracking_uri=uri)
    assert len(searched("limited", uri)) == 3
    [summary] = [found for found in studies(uri) if found.name == "limited"]
    assert summary.status == "finished"
    assert summary.trial_hours > 0


def test_a_limit_that_does_not_go_with_the_study_is_one_line_and_leaves_it_as_it_was(uri: str, write: Write) -> None:
    path = str(write("without-gpus"))
    with pytest.raises(UserError, match="gpu_hours"):
        study.run(path, max_gpu_hours=1, tracking_uri=uri)
    study.run(path, tracking_uri=uri)
    with pytest.raises(UserError, match="gpu_hours"):
        study.resume("without-gpus", max_gpu_hours=1, tracking_uri=uri)
    assert study.resume("without-gpus", tracking_uri=uri).study == "without-gpus"


def test_another_study_lends_its_finished_trials(uri: str, write: Write, go4align_home: Path) -> None:
    study.run(str(write("lender")), tracking_uri=uri)
    study.run(str(write("borrower")), warm_start="lender", tracking_uri=uri)
    assert searched("borrower", uri) == ["search-ls-000", "search-ls-001"]
    plan = newest_plan("borrower", uri)
    assert plan is not None
    storage = open_storage(go4align_home / "studies" / "borrower" / plan.study_run / "optuna.journal")
    [name] = optuna.get_all_study_names(storage)
    search = optuna.load_study(study_name=name, storage=storage)
    assert len(own_trials(search)) == 2
    lent = {trial.user_attrs[LENT]: trial for trial in search.trials if LENT in trial.user_attrs}
    assert set(lent) == {"lender/search-ls-000", "lender/search-ls-001"}
    scores = open_study("lender", uri).trials.set_index("trial").score
    assert lent["lender/search-ls-001"].value == scores["search-ls-001"]


def test_only_a_study_over_the_same_space_can_lend(uri: str, write: Write) -> None:
    with pytest.raises(UserError, match="Unknown study 'nobody'"):
        study.run(str(write("taker")), warm_start="nobody", tracking_uri=uri)
    study.run(str(write("other", methods=["ls"], benchmark={"name": "toy", "train_size": 64})), tracking_uri=uri)
    with pytest.raises(UserError, match="same benchmark"):
        study.run(str(write("taker")), warm_start="other", tracking_uri=uri)


def test_what_is_launched_twice_goes_on_but_not_with_other_methods(uri: str, write: Write) -> None:
    path = str(write("launched"))
    first = study.run_or_resume(path, methods="ls,rlw", max_trials=1, tracking_uri=uri)
    assert searched("launched", uri) == ["search-ls-000"]
    assert study.run_or_resume(path, methods="rlw,ls", max_trials=2, tracking_uri=uri) != first
    assert searched("launched", uri) == ["search-ls-000", "search-rlw-000"]
    with pytest.raises(UserError, match="begun with the methods ls, rlw, not with `--methods ls`.*--again"):
        study.run_or_resume(path, methods="ls", tracking_uri=uri)
    with pytest.raises(UserError, match="begun with no other study's trials, not with `--warm-start lender`"):
        study.run_or_resume(path, warm_start="lender", tracking_uri=uri)
    study.run_or_resume(path, methods="ls", again=True, max_trials=1, tracking_uri=uri)
    assert searched("launched", uri) == ["search-ls-000"]


@pytest.mark.parametrize("name", ["nobody", "../../etc", "a'b", ""])
def test_what_was_never_started_cannot_be_resumed(uri: str, name: str) -> None:
    with pytest.raises(UserError):
        study.resume(name, tracking_uri=uri)
