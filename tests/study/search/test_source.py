"""Which trial comes next: equal budgets, defaults first, and what Optuna is told at the end."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from searches import drain, finish, proposals

from study.search.source import FixedTrials
from study.trials.records import TrialResult


def told(folder: Path, method: str) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    [name] = [name for name in optuna.get_all_study_names(storage) if name.startswith(f"{method}@")]
    return optuna.load_study(study_name=name, storage=storage).trials


def test_methods_take_turns_with_equal_budgets_and_defaults_first(tmp_path: Path) -> None:
    trials = drain(proposals(tmp_path))
    assert [trial.method for trial in trials] == ["ls", "go4align"] * 5
    assert [trial.id for trial in trials[:4]] == [
        "search-ls-000", "search-go4align-000", "search-ls-001", "search-go4align-001",
    ]  # fmt: skip
    first = trials[1]
    assert first.origin == "default"
    assert first.configuration.method.options == {"beta": 1e-4, "n_groups": 2, "space": "linear"}
    assert first.configuration.training.lr == 0.01
    assert {trial.origin for trial in trials[2:]} == {"proposed"}
    assert not any(trial.test for trial in trials)
    assert all(set(trial.reference) == {"val"} for trial in trials), "the search must never see the test split"


def test_equal_histories_give_equal_proposals_and_another_seed_others(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 7)):
        (tmp_path / name).mkdir()
        source = proposals(tmp_path / name, seeds={"search": seed, "reference": 1, "final": [101]})
        found.append([trial.configuration for trial in drain(source)])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_trials_that_run_at_once_differ(tmp_path: Path) -> None:
    source = proposals(tmp_path, methods=["go4align"])
    running = [source.next() for _ in range(5)]
    betas = [trial.configuration.method.options["beta"] for trial in running if trial]
    assert len(set(betas)) == 5


def test_optuna_hears_complete_pruned_and_fail_with_true_last_values(tmp_path: Path) -> None:
    source = proposals(tmp_path, methods=["ls"])
    complete, stopped, failed, nan = (source.next() for _ in range(4))
    assert complete and stopped and failed and nan
    finish(source, complete, 3.0)
    source.report(stopped, 1, 9.0)
    source.report(stopped, 2, 8.0)
    source.finish(stopped, TrialResult(stopped.id, "stopped", 8.0, epochs=2))
    source.finish(failed, TrialResult(failed.id, "failed", reason="loss is nan"))
    source.finish(nan, TrialResult(nan.id, "finished", float("nan")))
    states = [(trial.state, trial.user_attrs["trial"]) for trial in told(tmp_path, "ls")]
    assert states == [
        (TrialState.COMPLETE, complete.id), (TrialState.PRUNED, stopped.id),
        (TrialState.FAIL, failed.id), (TrialState.FAIL, nan.id),
    ]  # fmt: skip
    assert told(tmp_path, "ls")[0].value == 3.0
    assert told(tmp_path, "ls")[1].value == 8.0


@pytest.mark.parametrize(
    ("budget", "resources"),
    [({"trials": 5, "epochs": 3}, {}), ({"trials": 5, "gpu_hours": 2 / 3600}, {"gpus": 1}),
     ({"trials": 5, "hours": 1e-9}, {})],
)  # fmt: skip
def test_a_spent_budget_starts_no_more_trials(
    tmp_path: Path, budget: dict[str, Any], resources: dict[str, Any]
) -> None:
    trials = drain(proposals(tmp_path, budget=budget, resources=resources))
    assert len(trials) == (0 if "hours" in budget else 3 if "epochs" in budget else 2)


def test_fixed_trials_come_in_order_and_end(tmp_path: Path) -> None:
    some = drain(proposals(tmp_path))[:3]
    source = FixedTrials(some)
    assert source.total == 3
    assert [source.next() for _ in range(4)] == [*some, None]
