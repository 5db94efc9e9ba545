"""What a tracking store has of a study that is to go, and its removal; begun again, it goes on with what is left.

A database forgets runs and experiment for good, as `mlflow gc` would. A server only puts them into its bin, where an
experiment keeps its name: it is renamed first, so that a new study may be called so.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.store.client import connect, pages
from study.store.networks import is_network
from study.store.queries import OLDEST_FIRST, is_parent
from study.store.references import only_source
from study.store.uri import artifact_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, LoggedModel, Run


@dataclass(frozen=True)
class StoredRemains:
    """What one store has of a study.

    Attributes:
        uri: the store.
        study: the study's name.
        permanent: whether the store can forget, or only has a bin.
        runs: what goes; the study's own runs come last, so that it is found until then.
        networks: of these runs: MLflow's logged models outlive a run.
        experiments: what goes with them: those that are left without a run.
        kept: the ids of single-task runs that stay, each with the study that would have none without it.
        others: ids of runs, and of networks, that are not the study's.
    """

    uri: str
    study: str
    permanent: bool
    runs: tuple[Run, ...]
    networks: tuple[LoggedModel, ...]
    experiments: tuple[Experiment, ...]
    kept: dict[str, str]
    others: frozenset[str]

    def __bool__(self) -> bool:
        """Whether anything goes."""
        return bool(self.runs or self.experiments)

    @property
    def running(self) -> list[str]:
        """The `study_run` of every run of the study that is said to run, as one that was killed is, too."""
        return [run.data.tags["study_run"] for run in self.runs if is_parent(run) and _is_running(run)]

    @property
    def folders(self) -> list[Path]:
        """The folders with the artifacts of the runs, where this machine has them."""
        if not self.permanent:
            return []
        found = [*map(self._folder, self.runs), *map(self._network_folder, self.networks)]
        return [folder for folder in found if folder and folder.is_dir()]

    def remove(self) -> None:
        """Remove all of it: files first, and from the store what would find them.

        Raises:
            Exception: whatever MLflow, its store or the disk may raise.
        """
        if self.permanent:
            self._forget()
        else:
            self._put_away()

    def _forget(self) -> None:
        backend = _backend(self.uri)
        client = connect(self.uri)
        for model in self.networks:
            if folder := self._network_folder(model):
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):  # others are beside it
                    folder.parent.rmdir()
            backend._hard_delete_logged_model(model.model_id)
        for run in self.runs:
            folder = self._folder(run)
            if folder and folder.is_dir():
                shutil.rmtree(folder)
            backend._hard_delete_run(run.info.run_id)
        for experiment in self.experiments:
            with suppress(OSError):  # it is not there, or other stores have files in it
                self._local(experiment.artifact_location).rmdir()
            if experiment.lifecycle_stage == "active":
                client.delete_experiment(experiment.experiment_id)
            backend._hard_delete_experiment(experiment.experiment_id)

    def _put_away(self) -> None:
        client = connect(self.uri)
        going = {experiment.experiment_id for experiment in self.experiments}
        for model in self.networks:
            if model.experiment_id not in going:
                client.delete_logged_model(model.model_id)
        for run in self.runs:
            if run.info.experiment_id not in going and run.info.lifecycle_stage == "active":
                client.delete_run(run.info.run_id)
        for experiment in self.experiments:
            identity = experiment.experiment_id
            if experiment.lifecycle_stage != "active":
                client.restore_experiment(identity)  # in the bin, it cannot be renamed
            client.rename_experiment(identity, f"{self.study}-removed-{identity}")
            client.delete_experiment(identity)

    def _folder(self, run: Run) -> Path | None:
        """Where a run's artifacts are, with the folder that is made for it alone; None where that is no folder."""
        folder = self._local(run.info.artifact_uri).parent
        return folder if folder.name == run.info.run_id else None

    def _network_folder(self, model: LoggedModel) -> Path | None:
        """As `_folder`, of a logged model."""
        folder = self._local(model.artifact_location).parent
        return folder if folder.name == model.model_id else None

    def _local(self, artifacts: str) -> Path:
        """A path that does not exist stands for what is kept elsewhere."""
        return artifact_path(artifacts, self.uri) or Path("/dev/null/elsewhere")


def find_remains(study: str, uri: str) -> StoredRemains:
    """What the store has of a study, in its bin, too; reads only.

    Raises:
        UserError: the store does not exist (`NoStoreError`) or does not answer.
    """
    client = connect(uri)
    forgets = hasattr(_backend(uri), "_hard_delete_run")
    runs: list[Run] = []
    others: list[Run] = []
    left_empty: list[Experiment] = []
    models: list[LoggedModel] = []
    for experiment in _experiments(client, study, deleted=forgets):
        every = list(_runs(client, experiment))
        own = _own(study, every, made_for_it=_is_made_for(study, experiment))
        others += [run for run in every if run not in own]
        logged = list(pages(client.search_logged_models, [experiment.experiment_id]))
        models += logged
        if len(own) == len(every) and all(map(is_network, logged)) and _is_made_for(study, experiment):
            left_empty.append(experiment)
            runs += own
        else:
            runs += [run for run in own if forgets or run.info.lifecycle_stage == "active"]
    kept = only_source(client, study, runs)
    going = {run.info.run_id for run in runs if run.info.run_id not in kept}
    networks = [model for model in models if is_network(model) and model.source_run_id in going]
    spoken_for = {run.info.experiment_id for run in runs if run.info.run_id in kept}
    return StoredRemains(
        uri=uri,
        study=study,
        permanent=forgets,
        runs=tuple(run for run in sorted(runs, key=is_parent) if run.info.run_id in going),
        networks=tuple(networks),
        experiments=tuple(found for found in left_empty if found.experiment_id not in spoken_for),
        kept=kept,
        others=frozenset(
            [run.info.run_id for run in others] + [model.model_id for model in models if model not in networks]
        ),
    )


def _experiments(client: MlflowClient, study: str, *, deleted: bool) -> Iterator[Experiment]:
    """The experiment of that name, and those that a removal which was killed has renamed."""
    from mlflow.entities import ViewType

    named = client.get_experiment_by_name(study)
    if named is not None:
        yield named
    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    for found in pages(client.search_experiments, view, filter_string=f"tags.study = '{study}'"):
        if found.name.startswith(f"{study}-removed-"):
            yield found


def _runs(client: MlflowClient, experiment: Experiment) -> Iterator[Run]:
    from mlflow.entities import ViewType

    identities = [experiment.experiment_id]
    return pages(client.search_runs, identities, "", run_view_type=ViewType.ALL, order_by=OLDEST_FIRST)


def _own(study: str, runs: list[Run], *, made_for_it: bool) -> list[Run]:
    """The study's parent runs and the runs of their trials; in its own experiment also trials without a parent, which
    an earlier removal has kept. An experiment of that name may hold what others log."""
    parents = {run.info.run_id for run in runs if is_parent(run) and run.data.tags["study"] == study}
    known = {run.info.run_id for run in runs}
    own: list[Run] = []
    for run in runs:
        tags = run.data.tags
        above = tags.get("mlflow.parentRunId", "")
        is_trial = {"trial", "stage", "study_hash"} <= tags.keys()
        orphan = made_for_it and above not in known
        if run.info.run_id in parents or (is_trial and (above in parents or orphan)):
            own.append(run)
    return own


def _is_made_for(study: str, experiment: Experiment) -> bool:
    return bool(experiment.tags.get("study") == study)


def _is_running(run: Run) -> bool:
    return bool(run.data.tags.get("status", "running") == "running" and run.info.lifecycle_stage == "active")


def _backend(uri: str) -> Any:
    """MLflow's store behind a client: the methods that forget are its own."""
    return connect(uri)._tracking_client.store
