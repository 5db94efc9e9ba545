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
from study.spec.sections import digest, flat
from study.spec.study_file import StudyFile

LentTrials = Mapping[str, Sequence[FrozenTrial]]


def lent_trials(name: str, study: StudyFile, space: SearchSpace, uri: str) -> LentTrials:
    """The finished search trials of another study, per method of this one.

    Raises:
        UserError: there is no such study, it is of another benchmark, searched another space or has scores of another
            kind, or none of its trials is finished.
    """
    other = open_study(name, uri)
    if other.study.benchmark.written_out != study.benchmark.written_out:
        raise UserError(f"`--warm-start` needs a study of the same benchmark and options; '{name}' has others.")
    if other.space_hash != digest(space):
        raise UserError(f"`--warm-start` needs a study over the same search space; '{name}' searched another.")
    _check_scores(name, other.study, study)
    found: dict[str, list[FrozenTrial]] = {}
    for lent in other.searched():
        if lent.method.key in study.methods:
            found.setdefault(lent.method.key, []).append(_lent(lent, name, study, space))
    if not found:
        raise UserError(f"The study '{name}' has no finished trial of {', '.join(study.methods)} to start from.")
    return found


def _check_scores(name: str, lender: StudyFile, borrower: StudyFile) -> None:
    """Scores of both must say the same: what is watched, and what Delta m is relative to."""
    watched = borrower.training.selection_rule.metric
    if (found := lender.training.selection_rule.metric) != watched:
        raise UserError(f"`--warm-start` needs a study whose scores are {watched}; those of '{name}' are {found}.")
    if watched == "delta_m" and lender.reference != borrower.reference:
        raise UserError(
            f"`--warm-start` needs a study with the same reference of Delta m, {_told(borrower)}; that of '{name}' is "
            f"{_told(lender)}."
        )


def _told(study: StudyFile) -> str:
    return study.reference if isinstance(study.reference, str) else str(study.reference.model_dump(exclude_none=True))


def _lent(lent: BestConfiguration, name: str, study: StudyFile, space: SearchSpace) -> FrozenTrial:
    method = study.method(lent.method.key)
    values: dict[str, Any] = {**study.configuration(method.key).method.options, **lent.method.options}
    values["lr"] = lent.training.lr
    searched = distributions(space, method)
    params = {key: flat(values)[key] for key in searched}
    return create_trial(
        value=lent.score, params=params, distributions=searched, user_attrs={LENT: f"{name}/{lent.trial}"}
    )
