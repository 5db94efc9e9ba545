"""Trials that an earlier study lends to a new one's search."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, create_trial

from go4align.errors import UserError
from study import results as stored
from study.config import FrozenConfiguration, StudyFile, digest
from study.optuna_store import LENT
from study.space import SearchSpace

LentTrials = Mapping[str, Sequence[FrozenTrial]]


def lent_trials(name: str, study: StudyFile, space: SearchSpace, uri: str) -> LentTrials:
    """The finished search trials of another study, per method of this one.

    Raises:
        UserError: there is no such study, it is of another benchmark or searched another space, or none of its trials
            is finished.
    """
    other = stored.study_file(name, uri)
    if other.benchmark != study.benchmark:
        raise UserError(f"`--warm-start` needs a study of the same benchmark and options; '{name}' has others.")
    if stored.space_hash(name, uri) != digest(space):
        raise UserError(f"`--warm-start` needs a study over the same search space; '{name}' searched another.")
    found: dict[str, list[FrozenTrial]] = {}
    for lent in stored.searched(name, uri):
        if lent.method.key in study.methods:
            found.setdefault(lent.method.key, []).append(_lent(lent, name, study, space))
    if not found:
        raise UserError(f"The study '{name}' has no finished trial of {', '.join(study.methods)} to start from.")
    return found


def _lent(lent: FrozenConfiguration, name: str, study: StudyFile, space: SearchSpace) -> FrozenTrial:
    method = study.method(lent.method.key)
    values: dict[str, Any] = {**study.configuration(method.key).method.options, **lent.method.options}
    values["lr"] = lent.training.lr
    distributions = space.distributions(method)
    params = {key: values[key] for key in distributions}
    return create_trial(
        value=lent.score, params=params, distributions=distributions, user_attrs={LENT: f"{name}/{lent.trial}"}
    )
