"""The best configuration of each method of a stored study, as `study best` writes it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

from go4align.errors import UserError, unknown_name
from study.results.fixed_weights import with_fixed_weights
from study.results.frames import outcome_of_run
from study.spec.configuration import BestConfiguration, BestFile, Configuration
from study.spec.loading import parse_json
from study.spec.study_file import StudyFile, fixed_label
from study.store.queries import StoredRun
from study.store.texts import read_file

if TYPE_CHECKING:
    from mlflow.entities import Run

_Kept = TypeVar("_Kept", StudyFile, Configuration)

CARRIED_OVER = "carried-over.json"
"""A file of a study's parent run: configurations that another study has tuned, as it trains them (a `BestFile`)."""


def best_configurations(found: StoredRun, study: StudyFile, uri: str, method: str | None) -> list[BestConfiguration]:
    """Of complete search trials the best of each method, the best method first; then those of `fixed_weights`, of which
    such as cannot be read are left out, with a warning, unless they are asked for.

    Args:
        found: the study's runs.
        study: its file.
        uri: the store.
        method: the only one that is asked for; None for all.

    Raises:
        UserError: no such method, no complete search trial of it yet, or no weights to fix.
    """
    first: dict[str, Run] = {}
    for run in found.ranked:
        first.setdefault(run.data.tags["method"], run)
    fixed = {fixed_label(key): key for key in study.fixed_weights}
    known = set(first) | set(study.methods) | set(fixed)
    if method is not None and method not in known:
        raise unknown_name(f"method of the study '{study.name}'", method, known)
    chosen = [best_configuration(run) for key, run in first.items() if method in (None, key)]
    for label, of in fixed.items():
        if method in (None, label) and of in first:
            chosen += _fixed(first[of], uri, required=method is not None)
    if not chosen:
        of = f" of '{method}'" if method else ""
        raise UserError(
            f"The study '{study.name}' has no complete search trial{of} yet. `study ls` shows how far it is."
        )
    return chosen


def best_configuration(run: Run) -> BestConfiguration:
    """A search trial's, with its score."""
    found = parse_tag(Configuration, run, "configuration")
    return BestConfiguration(
        benchmark=found.benchmark,
        method=found.method,
        training=found.training,
        trial=run.data.tags["trial"],
        seed=int(run.data.tags["seed"]),
        score=run.data.metrics["score"],
    )


def kept_file(found: StoredRun, uri: str) -> BestFile | None:
    """What another study has tuned and this one trains; None where there is none."""
    try:
        text = read_file(found.parent.info.artifact_uri, uri, CARRIED_OVER).decode()
    except Exception:  # without the file, MLflow and its stores of artifacts each raise their own
        return None
    return parse_json(BestFile, text, f"{CARRIED_OVER} of the MLflow run {found.parent.info.run_id}")


def only_of(best: BestFile, method: str | None) -> BestFile:
    """The configuration of one method, or all.

    Raises:
        UserError: no such method.
    """
    if method is None:
        return best
    known = {one.method.key: one for one in best.configurations}
    if method not in known:
        raise unknown_name(f"method of the study '{best.study}'", method, known)
    return best.model_copy(update={"configurations": [known[method]]})


def parse_tag(kind: type[_Kept], run: Run, tag: str) -> _Kept:
    """What a tag of a run says.

    Raises:
        UserError: another version has written it.
    """
    return parse_json(kind, run.data.tags.get(tag, ""), f"The tag `{tag}` of the MLflow run {run.info.run_id}")


def _fixed(run: Run, uri: str, *, required: bool) -> list[BestConfiguration]:
    """The fixed weights of a trial; without them all else can be told, unless they are what was asked for."""
    try:
        return [with_fixed_weights(best_configuration(run), outcome_of_run(run), uri)]
    except UserError as error:
        if required:
            raise
        warnings.warn(str(error), stacklevel=4)
        return []
