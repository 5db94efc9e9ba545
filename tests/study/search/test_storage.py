"""Optuna's journal after kills: half lines, stale locks, half-chosen trials, and spaces that were changed."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from study.search.storage import LENT, Distributions, ask, begin_search, open_storage, own_trials

SPACE: Distributions = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "k": IntDistribution(1, 5),
    "space": CategoricalDistribution(("linear", "log")),
}
DEFAULTS = {"lr": 1e-3, "k": 2, "space": "linear"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "optuna.journal"


def search_of(path: Path, space: Distributions = SPACE, **options: object) -> optuna.Study:
    return begin_search(open_storage(path), "ls", space, defaults=DEFAULTS, **options)  # type: ignore[arg-type]


def test_the_defaults_come_first_and_once(path: Path) -> None:
    for _ in range(3):
        search_of(path)
    search = search_of(path)
    first, _ = ask(search, 0, SPACE, TPESampler(seed=1))
    second, _ = ask(search, 1, SPACE, TPESampler(seed=1))
    assert first.params == DEFAULTS and second.params != DEFAULTS
    assert len(own_trials(search_of(path))) == 2


def test_a_running_trial_is_opened_again_with_its_values_and_steps(path: Path) -> None:
    search = search_of(path)
    for number in (0, 1):
        trial, _ = ask(search, number, SPACE, TPESampler(seed=1))
    trial.report(3.0, 1)
    trial.report(2.0, 4)
    again, last = ask(search_of(path), 1, SPACE, TPESampler(seed=1))
    assert again.params == trial.params and last == 4
    assert len(own_trials(search_of(path))) == 2


def test_a_kill_while_values_are_chosen_changes_none_of_them(path: Path, tmp_path: Path) -> None:
    """Cut Optuna's journal after every line: the trial that is opened again has the values of the whole one."""
    search = search_of(path)
    for number in (0, 1):
        whole, _ = ask(search, number, SPACE, TPESampler(seed=1))
    lines = path.read_bytes().splitlines(keepends=True)
    for end in range(len(lines) + 1):
        cut = tmp_path / f"cut-{end}"
        cut.write_bytes(b"".join(lines[:end]))
        search = search_of(cut)
        own = len(own_trials(search))
        for number in (0, 1):
            again, _ = ask(search, number, SPACE, TPESampler(seed=1))
        assert again.params == whole.params, f"cut after {end} lines, {own} trials"


def test_half_a_line_and_a_stale_lock_are_removed(path: Path) -> None:
    ask(search_of(path), 0, SPACE, TPESampler(seed=1))
    with path.open("ab") as file:
        file.write(b'{"op_code": 5, "worker_id"')
    path.with_name(path.name + ".lock").symlink_to(path)
    trial, _ = ask(search_of(path), 0, SPACE, TPESampler(seed=1))
    assert trial.params == DEFAULTS
    assert not path.with_name(path.name + ".lock").is_symlink()


def test_another_space_takes_over_what_fits_and_counts_the_rest(path: Path) -> None:
    search = search_of(path)
    for number in range(3):
        trial, _ = ask(search, number, SPACE, TPESampler(seed=1))
        if number < 2:
            search.tell(trial, float(number))
    narrow = {**SPACE, "k": CategoricalDistribution((2, 7))}  # another kind, which Optuna refuses in one study
    search = search_of(path, narrow)
    own = own_trials(search)
    assert own[0].state == TrialState.COMPLETE and own[0].params == DEFAULTS
    assert len(own) == 3 and own[2].state == TrialState.RUNNING
    assert own[1].state in {TrialState.FAIL, TrialState.COMPLETE}  # whether its k happens to be among the choices
    assert len(own_trials(search_of(path, narrow))) == 3
    trial, _ = ask(search_of(path, narrow), 3, narrow, TPESampler(seed=1))
    assert trial.params["k"] in {2, 7}


def test_lent_trials_are_learnt_from_and_not_counted(path: Path) -> None:
    lent = [
        create_trial(value=1.0, params={**DEFAULTS, "k": k}, distributions=dict(SPACE), user_attrs={LENT: f"other/{k}"})
        for k in (1, 3)
    ]
    search_of(path, lent=lent)
    search = search_of(path, lent=lent)
    assert [trial.user_attrs.get(LENT) for trial in search.trials] == ["other/1", "other/3", None]
    assert own_trials(search) == []
    trial, _ = ask(search, 0, SPACE, TPESampler(seed=1))
    assert trial.params == DEFAULTS
