"""Which runs of a store are a study's: one query for all of them, whatever the number of trials.

A study has a parent run for every time it was begun (`study run --again`), and a run for every trial below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from go4align.errors import UserError, unknown_name
from study.spec.sections import is_name
from study.store.client import pages
from study.store.uri import tracking_uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OLDEST_FIRST = ["attributes.start_time ASC"]
_OURS = "tags.stage LIKE '%'"


@dataclass(frozen=True)
class StoredRun:
    """One run of a study as a store has it.

    Attributes:
        parent: its parent run.
        trials: its trials' runs, in the order they began.
    """

    parent: Run
    trials: tuple[Run, ...]

    @property
    def ranked(self) -> list[Run]:
        """Complete search trials, best score first."""
        scored = [run for run in self.trials if _is_complete(run) and math.isfinite(_score(run))]
        return sorted(scored, key=lambda run: (_score(run), run.info.start_time, run.data.tags["trial"]))

    @property
    def has_results(self) -> bool:
        """Whether a search trial is complete."""
        return any(map(_is_complete, self.trials))


def read_study(client: MlflowClient, name: str, uri: str | None = None) -> StoredRun:
    """The run of a study that counts.

    That is the one that began last of those with a complete search trial: a `study run --again` that came to nothing
    hides no results. Where none has one, it is the one that began last.

    Raises:
        UserError: the store (`uri`, for the message) has no such study; names the nearest.
    """
    found = _that_counts(_runs_of(client, name))
    if found is not None:
        return found
    known = [run.parent.data.tags["study"] for run in read_studies(client)]
    if not known:
        store = without_password(tracking_uri(uri))
        raise UserError(f"The tracking store {store} holds no study yet. Start one with `study run`.")
    raise unknown_name("study", name, known)


def read_studies(client: MlflowClient) -> list[StoredRun]:
    """The run of each study that counts, see `read_study`; the study that was begun last comes first."""
    experiments = [found.experiment_id for found in pages(client.search_experiments)]
    by_name: dict[str, list[StoredRun]] = {}
    for run in _read(client, experiments):
        by_name.setdefault(run.parent.data.tags["study"], []).append(run)
    return [found for runs in by_name.values() if (found := _that_counts(runs))]


def has_trials(client: MlflowClient, name: str) -> bool:
    """Whether any run of the study has a trial, of whatever stage and status."""
    return any(run.trials for run in _runs_of(client, name))


def _runs_of(client: MlflowClient, name: str) -> list[StoredRun]:
    experiment = client.get_experiment_by_name(name) if is_name(name) else None
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    return [run for run in _read(client, [experiment.experiment_id]) if run.parent.data.tags["study"] == name]


def _read(client: MlflowClient, experiments: list[str]) -> list[StoredRun]:
    """All runs of all studies in these experiments, newest first."""
    runs = list(pages(client.search_runs, experiments, _OURS, order_by=OLDEST_FIRST))
    trials: dict[str, list[Run]] = {run.info.run_id: [] for run in runs if is_parent(run)}
    for run in runs:
        if "trial" in run.data.tags:
            trials.get(run.data.tags.get("mlflow.parentRunId", ""), []).append(run)
    return [StoredRun(run, tuple(trials[run.info.run_id])) for run in reversed(runs) if run.info.run_id in trials]


def is_parent(run: Run) -> bool:
    """A store may be shared: what others have tagged alike is no study, and no name of theirs becomes a path here."""
    tags = run.data.tags
    return tags.get("stage") == "study" and all(is_name(tags.get(key, "")) for key in ("study", "study_run"))


def _that_counts(runs: Iterable[StoredRun]) -> StoredRun | None:
    newest_first = list(runs)
    return next((run for run in newest_first if run.has_results), newest_first[0] if newest_first else None)


def _is_complete(run: Run) -> bool:
    return bool(run.info.status == "FINISHED" and run.data.tags["stage"] == "search")


def _score(run: Run) -> float:
    return float(run.data.metrics.get("score", math.nan))
