"""Trials that an earlier study lends to a new one's search."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, create_trial

from go4align.errors import UserError
from study.results import open_study
from study.search.distributions import distributions
from study.search.storage import LENT
from study.spec.configuration import BestConfiguration
from study.spec.search_space import SearchSpace
from study.spec.sections import digest
from study.spec.study_file import StudyFile

LentTrials = Mapping[str, Sequence[FrozenTrial]]


def lent_trials(name: str, study: StudyFile, space: SearchSpace, uri: str) -> LentTrials:
    """The finished search trials of another study, per method of this one.

    Raises:
        UserError: there is no such study, it is of another benchmark or searched another space, or none of its trials
            is finished.
    """
    other = open_study(name, uri)
    if other.study.benchmark.written_out != study.benchmark.written_out:
        raise UserError(f"`--warm-start` needs a study of the same benchmark and options; '{name}' has others.")
    if other.space_hash != digest(space):
        raise UserError(f"`--warm-start` needs a study over the same search space; '{name}' searched another.")
    found: dict[str, list[FrozenTrial]] = {}
    for lent in other.searched():
        if lent.method.key in study.methods:
            found.setdefault(lent.method.key, []).append(_lent(lent, name, study, space))
    if not found:
        raise UserError(f"The study '{name}' has no finished trial of {', '.join(study.methods)} to start from.")
    return found


def _lent(lent: BestConfiguration, name: str, study: StudyFile, space: SearchSpace) -> FrozenTrial:
    method = study.method(lent.method.key)
    values: dict[str, Any] = {**study.configuration(method.key).method.options, **lent.method.options}
    values["lr"] = lent.training.lr
    searched = distributions(space, method)
    params = {key: values[key] for key in searched}
    return create_trial(
        value=lent.score, params=params, distributions=searched, user_attrs={LENT: f"{name}/{lent.trial}"}
    )
