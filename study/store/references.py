"""Single-task runs that a store already has, of whatever study, and which studies need them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError
from study.spec.loading import parse_json
from study.spec.study_file import StudyFile
from study.store.client import connect, pages
from study.store.keys import final_metrics
from study.store.queries import OLDEST_FIRST, StoredRun, read_studies
from study.trials.reference import reference_keys
from study.trials.scores import Metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_COMPLETE = "tags.reference_key LIKE '%' and attributes.status = 'FINISHED'"
"""MLflow knows no list of a tag's values: which keys are wanted is looked at here."""


def find_references(client: MlflowClient, keys: Collection[str]) -> dict[str, Metrics]:
    """The metrics (`val/...`, `test/...`) of complete single-task runs of any study, by `reference_key`.

    The oldest run of a key counts. Keys that the store does not have are not in the answer.
    """
    found: dict[str, Metrics] = {}
    for run in _complete_runs(client):
        if run.data.tags["reference_key"] in keys:
            found.setdefault(run.data.tags["reference_key"], final_metrics(run.data.metrics))
    return found


def references_if_reached(
    keys: Collection[str], uri: str | None = None, *, notify: Callable[[str], None]
) -> dict[str, Metrics]:
    """As `find_references`. A store that cannot be reached is told to `notify`, and nothing is found: the references
    are then trained again, and the study goes on."""
    try:
        return find_references(connect(uri), keys)
    except Exception as error:  # MLflow, a database driver and a network each have their own
        notify(f"Looking for single-task references: {' '.join(str(error).split())}")
        return {}


def only_source(client: MlflowClient, study: str, runs: Collection[Run]) -> dict[str, str]:
    """Of these runs of a study, the complete single-task runs that another study's Delta m is relative to, and that no
    other run of the store could stand in for: each run's id, and the first such study.

    A study that this version cannot read any more needs none: nothing can be done with it.
    """
    keys = {run.info.run_id: run.data.tags["reference_key"] for run in runs if _is_complete(run)}
    if not keys:
        return {}
    elsewhere = {run.data.tags["reference_key"] for run in _complete_runs(client) if run.info.run_id not in keys}
    needed: dict[str, str] = {}
    for other in read_studies(client):
        name = other.parent.data.tags["study"]
        if name != study:
            needed |= {key: name for key in _needed(other) if key not in needed}
    return {run: needed[key] for run, key in keys.items() if key in needed and key not in elsewhere}


def _needed(stored: StoredRun) -> list[str]:
    """The keys of the single-task runs that a study is relative to."""
    try:
        study = parse_json(StudyFile, stored.parent.data.tags.get("study_file", ""), "The tag `study_file`")
        if study.reference == "published":
            return []
        benchmark = build_benchmark(study.benchmark.name, **study.benchmark.options)
        return reference_keys(study, benchmark)
    except UserError:
        return []


def _complete_runs(client: MlflowClient) -> Iterator[Run]:
    experiments = [found.experiment_id for found in pages(client.search_experiments)]
    return pages(client.search_runs, experiments, _COMPLETE, order_by=OLDEST_FIRST)


def _is_complete(run: Run) -> bool:
    alive = run.info.lifecycle_stage == "active" and run.info.status == "FINISHED"
    return alive and "reference_key" in run.data.tags
