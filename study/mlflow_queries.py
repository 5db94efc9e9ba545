"""Which runs of a store are a study's: its parent run and, below it, its trials' runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from go4align.errors import UserError, unknown_name
from study.config import NAME_PATTERN
from study.home import tracking_uri, without_password
from study.mlflow_client import pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def newest_run(client: MlflowClient, name: str) -> Run | None:
    """The parent run of a study that began last; None where the store has none."""
    experiment = client.get_experiment_by_name(name) if re.fullmatch(NAME_PATTERN, name) else None
    if experiment is None or experiment.lifecycle_stage != "active":
        return None
    order = ["attributes.start_time DESC"]
    runs = client.search_runs([experiment.experiment_id], "tags.stage = 'study'", max_results=1, order_by=order)
    return runs[0] if runs else None


def parent_run(client: MlflowClient, name: str, uri: str | None) -> Run:
    """The parent run of a study that began last.

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
    """The newest parent run of each study, newest first."""
    experiments = [found.experiment_id for found in pages(client.search_experiments)]
    order = ["attributes.start_time DESC"]
    newest: dict[str, Run] = {}
    for run in pages(client.search_runs, experiments, "tags.stage = 'study'", order_by=order):
        newest.setdefault(run.data.tags["study"], run)
    return newest


def child_runs(client: MlflowClient, parent: Run, query: str = "") -> Iterator[Run]:
    """The trials' runs, in the order they began; `query` goes on with "and ..."."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' {query}"
    order = ["attributes.start_time ASC"]
    return pages(client.search_runs, [parent.info.experiment_id], query, order_by=order)


def ranked_runs(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of complete search trials, best score first."""
    query = "and attributes.status = 'FINISHED' and tags.stage = 'search'"
    runs = [run for run in child_runs(client, parent, query) if math.isfinite(run.data.metrics.get("score", math.nan))]
    return sorted(runs, key=lambda run: (run.data.metrics["score"], run.info.start_time, run.data.tags["trial"]))
