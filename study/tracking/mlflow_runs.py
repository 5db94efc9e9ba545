"""Finds a study's runs in MLflow by tag, and makes those that are missing: asked twice, it makes nothing twice."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.store.client import connect, pages
from study.store.uri import artifact_location
from study.tracking.journal import Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_KIND, _TRAINING = "mlflow.experimentKind", "custom_model_development"
"""MLflow's page of an experiment then opens on its runs; without it, it may guess otherwise."""

_LATE_S = 1.0
"""When MLflow takes longer to make a run, its HTTP client may have been told to retry, and have made two."""


@dataclass(frozen=True)
class RunIds:
    """Where the runs are: the ids of the experiment, the parent run and each trial's run."""

    experiment: str
    parent: str
    trials: dict[str, str]


class RunFinder:
    """The runs of a journal's studies in one store. A parent carries the tag `study_run`, a child the tag `trial`.

    Args:
        uri: the tracking store; a SQLite file is made if missing.
        journal: says which tags and times a new run gets.
    """

    def __init__(self, uri: str, journal: Journal) -> None:
        self._uri = uri
        self._journal = journal
        self._connected: MlflowClient | None = None
        self._known: dict[str, RunIds] = {}

    @property
    def client(self) -> MlflowClient:
        """A client of the store.

        Raises:
            UserError: it does not answer.
        """
        self._connected = self._connected or connect(self._uri, create=True)
        return self._connected

    def forget(self) -> None:
        """After an error it is unknown what the store has taken: look everything up again."""
        self._known.clear()
        self._connected = None

    def experiment(self, study_run: str) -> str:
        """The id of the study's experiment."""
        return self._runs(study_run).experiment

    def parent(self, study_run: str) -> str:
        """The id of the parent run."""
        return self._runs(study_run).parent

    def child(self, study_run: str, trial: str) -> str:
        """The id of the trial's run."""
        runs = self._runs(study_run)
        if trial not in runs.trials:
            start = self._journal.runs[study_run].starts[trial]
            began = time.monotonic()
            tags = start.data["tags"] | {"mlflow.parentRunId": runs.parent}
            created = self.client.create_run(runs.experiment, start.time_ms, tags, start.data.get("name", trial))
            runs.trials[trial] = created.info.run_id
            if time.monotonic() - began > _LATE_S:
                self._known[study_run] = runs = self._find_or_create(study_run)
        return runs.trials[trial]

    def _runs(self, study_run: str) -> RunIds:
        if study_run not in self._known:
            self._known[study_run] = self._find_or_create(study_run)
        return self._known[study_run]

    def _find_or_create(self, study_run: str) -> RunIds:
        from mlflow.entities import ViewType

        opened = self._journal.runs[study_run].opened
        if opened is None:
            raise LookupError(f"the journal {self._journal.path} lacks the beginning of the study's run {study_run}")
        experiment = self._experiment(opened.data["name"])
        query = f"tags.study_run = '{study_run}'"
        found = list(self.client.search_runs([experiment], query, run_view_type=ViewType.ALL))
        if not found:
            tags = opened.data["tags"] | {"study_run": study_run}
            began = time.monotonic()
            created = self.client.create_run(experiment, opened.time_ms, tags, opened.data["name"])
            if time.monotonic() - began > _LATE_S:
                return self._find_or_create(study_run)
            return RunIds(experiment, created.info.run_id, {})
        parent = self._only([run for run in found if run.info.lifecycle_stage == "active"] or self._restored(found))
        return RunIds(experiment, parent, self._children(experiment, parent))

    def _children(self, experiment: str, parent: str) -> dict[str, str]:
        by_trial: dict[str, list[Run]] = {}
        for run in pages(self.client.search_runs, [experiment], f"tags.`mlflow.parentRunId` = '{parent}'"):
            by_trial.setdefault(run.data.tags["trial"], []).append(run)
        return {trial: self._only(found) for trial, found in by_trial.items()}

    def _only(self, runs: list[Run]) -> str:
        """The run that was written to; others were made by a request whose answer was lost, and go to the bin."""
        first, *others = sorted(runs, key=lambda run: (-len(run.data.metrics), -len(run.data.params), run.info.run_id))
        for run in others:
            self.client.delete_run(run.info.run_id)
        return str(first.info.run_id)

    def _restored(self, runs: list[Run]) -> list[Run]:
        """A run that someone put in the bin is taken out again: its trials' runs hang on it, and more come."""
        for run in runs[:1]:
            self.client.restore_run(run.info.run_id)
        return runs[:1]

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            tags = {"study": name, _KIND: _TRAINING}
            return str(self.client.create_experiment(name, artifact_location(name, self._uri), tags))
        if found.lifecycle_stage != "active":  # MLflow gives no name in the bin to another experiment
            self.client.restore_experiment(found.experiment_id)
        if _KIND not in found.tags:
            self.client.set_experiment_tag(found.experiment_id, _KIND, _TRAINING)
        return str(found.experiment_id)
