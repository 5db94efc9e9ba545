"""Optuna's studies on disk, one per method: begun once, opened again after a kill, taken over when the space changes.

A trial of a method has a number, from 0, in the order it was proposed: its place among `own_trials`.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from go4align.disk import whole_lines
from study.search.distributions import Distributions
from study.spec.sections import digest

LENT = "lent"
"""User attribute of a trial that another study has run: where it is from."""


def open_storage(path: Path) -> BaseStorage:
    """Optuna's journal, without what a kill or a full disk left: a lock, half a line.

    Only for a process that holds the study's own lock, see `study.tracking.journal`.

    Raises:
        OSError: it cannot be written to.
    """
    _quiet_optuna()
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    with suppress(FileNotFoundError), path.open("r+b") as file:
        file.truncate(whole_lines(path))
    return JournalStorage(JournalFileBackend(str(path)))


def begin_search(
    storage: BaseStorage,
    method: str,
    distributions: Distributions,
    *,
    defaults: Mapping[str, Any],
    lent: Sequence[FrozenTrial] = (),
) -> optuna.Study:
    """The method's study over this space; a new one begins with the trials of the method's studies over other spaces,
    or else with `lent` ones and the defaults. Its own sampler chooses nothing, see `ask`."""
    space = digest({key: json.loads(distribution_to_json(value)) for key, value in distributions.items()})
    name = f"{method}@{space[:8]}"
    names = [found for found in optuna.get_all_study_names(storage) if found.startswith(f"{method}@") and found != name]
    others = [own_trials(optuna.load_study(study_name=found, storage=storage)) for found in names]
    search = optuna.create_study(study_name=name, storage=storage, sampler=RandomSampler(), load_if_exists=True)
    missing = max(others, key=len, default=[])[len(own_trials(search)) :]
    search.add_trials([_taken_over(trial, distributions) for trial in missing])
    trials = search.get_trials(deepcopy=False)
    if all(LENT in trial.user_attrs for trial in trials):
        search.add_trials([_taken_over(trial, distributions) for trial in lent[len(trials) :]])
        search.enqueue_trial(dict(defaults))
    return search


def own_trials(search: optuna.Study) -> list[FrozenTrial]:
    """The trials that this study has proposed, in order."""
    trials = search.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state != TrialState.WAITING and LENT not in trial.user_attrs]


def ask(
    search: optuna.Study,
    number: int,
    distributions: Distributions,
    sampler: BaseSampler,
    planned: Mapping[str, Any] | None = None,
) -> tuple[optuna.Trial, int]:
    """The trial of that number, a new one or one that was running when its process ended, and its last reported step.

    A new trial's values are chosen first, by the sampler where they are not `planned`, and then written in one piece,
    so that a kill changes none of them; with them goes what the sampler notes on a trial and reads again.
    """
    trials = search.get_trials(deepcopy=False)
    own = own_trials(search)
    if number >= len(own):
        if all(trial.state != TrialState.WAITING for trial in trials):
            values, notes = (planned, {}) if planned else _chosen(trials, sampler, distributions)
            search.add_trial(
                create_trial(state=TrialState.WAITING, system_attrs={**notes, "fixed_params": dict(values)})
            )
        return search.ask(dict(distributions)), 0
    trial = optuna.Trial(search, own[number]._trial_id)
    for name, distribution in distributions.items():
        _suggest(trial, name, distribution)
    return trial, own[number].last_step or 0


def _quiet_optuna() -> None:
    """Silence Optuna's notes on every trial, and its warning that multivariate TPE is experimental."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _chosen(
    trials: Sequence[FrozenTrial], sampler: BaseSampler, distributions: Distributions
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the sampler proposes after these trials, and its notes."""
    scratch = optuna.create_study(sampler=sampler)
    scratch.add_trials(trials)
    values = scratch.ask(dict(distributions)).params
    return values, scratch.get_trials(deepcopy=False)[-1].system_attrs


def _suggest(trial: optuna.Trial, name: str, space: BaseDistribution) -> None:
    if isinstance(space, FloatDistribution):
        trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)
    elif isinstance(space, IntDistribution):
        trial.suggest_int(name, space.low, space.high, step=space.step, log=space.log)
    elif isinstance(space, CategoricalDistribution):
        trial.suggest_categorical(name, space.choices)


def _taken_over(trial: FrozenTrial, distributions: Distributions) -> FrozenTrial:
    """The trial in another space; where its values have no place there, only its number and state remain."""
    params = {key: value for key, value in trial.params.items() if key in distributions}
    try:
        if set(params) < set(distributions):
            raise ValueError("it lacks a value")
        return create_trial(
            state=trial.state,
            value=trial.value,
            params=params,
            distributions=dict(distributions),
            user_attrs=trial.user_attrs,
            intermediate_values=trial.intermediate_values,
        )
    except ValueError:  # Optuna's too, for a value out of range
        state = trial.state if trial.state == TrialState.RUNNING else TrialState.FAIL
        return create_trial(state=state, user_attrs=trial.user_attrs)
