"""Which runs of a store are a study's: its parent run and, below it, its trials' runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from go4align.errors import UserError, unknown_name
from study.config import is_name
from study.home import tracking_uri, without_password
from study.mlflow_client import pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def newest_run(client: MlflowClient, name: str) -> Run | None:
    """The parent run of a study that counts; None where the store has none.

    That is the one that began last of those with a complete search trial: a `study run --again` that came to nothing
    hides no results. Where none has one, it is the one that began last.
    """
    return _that_counts(client, _parents(client, name))


def has_trials(client: MlflowClient, name: str) -> bool:
    """Whether any run of the study has a trial, of whatever stage and status."""
    return any(_any_child(client, parent) for parent in _parents(client, name))


def has_results(client: MlflowClient, parent: Run) -> bool:
    """Whether the parent run has a complete search trial."""
    return _any_child(client, parent, "and attributes.status = 'FINISHED' and tags.stage = 'search'")


def parent_run(client: MlflowClient, name: str, uri: str | None) -> Run:
    """The parent run of a study that counts, see `newest_run`.

    Raises:
        UserError: the store (`uri`, for the message) has no such study; names the nearest.
    """
    parent = newest_run(client, name)
    if parent is not None:
        return parent
    known = parent_runs(client)
    if not known:
        store = without_password(tracking_uri(uri))
        raise UserError(f"The tracking store {store} holds no study yet. Start one with `study run`.")
    raise unknown_name("study", name, known)


def parent_runs(client: MlflowClient) -> dict[str, Run]:
    """The parent run of each study that counts, see `newest_run`; the study that was run last comes first."""
    experiments = [found.experiment_id for found in pages(client.search_experiments)]
    order = ["attributes.start_time DESC"]
    found: dict[str, list[Run]] = {}
    for run in filter(_is_parent, pages(client.search_runs, experiments, "tags.stage = 'study'", order_by=order)):
        found.setdefault(run.data.tags["study"], []).append(run)
    return {name: _that_counts(client, runs) or runs[0] for name, runs in found.items()}


def child_runs(client: MlflowClient, parent: Run, query: str = "") -> Iterator[Run]:
    """The trials' runs, in the order they began; `query` goes on with "and ..."."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' {query}"
    order = ["attributes.start_time ASC"]
    runs = pages(client.search_runs, [parent.info.experiment_id], query, order_by=order)
    return (run for run in runs if "trial" in run.data.tags)


def ranked_runs(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of complete search trials, best score first."""
    query = "and attributes.status = 'FINISHED' and tags.stage = 'search'"
    runs = [run for run in child_runs(client, parent, query) if math.isfinite(run.data.metrics.get("score", math.nan))]
    return sorted(runs, key=lambda run: (run.data.metrics["score"], run.info.start_time, run.data.tags["trial"]))


def _parents(client: MlflowClient, name: str) -> list[Run]:
    """The study's parent runs, newest first."""
    experiment = client.get_experiment_by_name(name) if is_name(name) else None
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    order = ["attributes.start_time DESC"]
    runs = pages(client.search_runs, [experiment.experiment_id], "tags.stage = 'study'", order_by=order)
    return list(filter(_is_parent, runs))


def _is_parent(run: Run) -> bool:
    """A store may be shared: what others have tagged alike is no study, and no name of theirs becomes a path here."""
    return all(is_name(run.data.tags.get(key, "")) for key in ("study", "study_run"))


def _that_counts(client: MlflowClient, parents: list[Run]) -> Run | None:
    return next((run for run in parents if has_results(client, run)), parents[0] if parents else None)


def _any_child(client: MlflowClient, parent: Run, query: str = "") -> bool:
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' {query}"
    return bool(client.search_runs([parent.info.experiment_id], query, max_results=1))
