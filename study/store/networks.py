"""Kept networks in a tracking store: an MLflow logged model for each, linked to its run and the data."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.store.client import pages
from study.store.texts import read_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

MODELS = "models"
"""MLflow's folder of logged models, among an experiment's artifacts."""

_KIND = "multi-task network"
_TRIAL = "trial"
"""The tag that names a logged model's only file."""
_FORBIDDEN = str.maketrans("/:.%\"'", "------")
"""What MLflow allows in no model's name."""


def stored_networks(client: MlflowClient, experiment: str) -> dict[str, LoggedModel]:
    """The whole networks of an experiment's runs, by the run's id."""
    return {str(model.source_run_id): model for model in every_network(client, experiment) if _is_whole(model)}


def every_network(client: MlflowClient, experiment: str, run_id: str | None = None) -> list[LoggedModel]:
    """The networks of an experiment's runs, or of one run; also those of which only a part has come."""
    wanted = None if run_id is None else f"source_run_id = '{run_id}'"
    return list(filter(is_network, pages(client.search_logged_models, [experiment], wanted)))


def is_network(model: LoggedModel) -> bool:
    """Whether a logged model is one of ours; an experiment may hold what others log."""
    return bool(model.model_type == _KIND)


def store_network(
    client: MlflowClient,
    experiment: str,
    run_id: str,
    name: str,
    file: Path,
    described: Mapping[str, Mapping[str, str]],
) -> None:
    """Give the store a run's network; asked twice, it has it once.

    Args:
        client: of the store.
        experiment, run_id: the run.
        name: of the logged model.
        file: what `study.trials.networks.write_network` has written.
        described: `params` and `tags` of the model.

    Raises:
        Exception: what MLflow and the network may raise; what is half there is not found as a network.
    """
    from mlflow.entities import LoggedModelOutput

    model = next(iter(every_network(client, experiment, run_id)), None)  # perhaps of an attempt that broke off
    if model and _is_whole(model):
        return
    model = model or client.create_logged_model(
        experiment,
        name.translate(_FORBIDDEN),
        run_id,
        tags=dict(described["tags"]),
        params=dict(described["params"]),
        model_type=_KIND,
    )
    client.log_model_artifact(model.model_id, str(file))
    known = client.get_run(run_id).outputs
    if not known or model.model_id not in {output.model_id for output in known.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.finalize_logged_model(model.model_id, "READY")  # last: what is not ready is begun again


def read_network(uri: str, model: LoggedModel) -> dict[str, Any]:
    """The `configuration` (JSON) and the `network` (weights on the CPU) of a kept network.

    Raises:
        Exception: the file is gone or damaged, or what MLflow and the network may raise.
    """
    import torch

    content = read_file(model.artifact_location, uri, f"{model.tags[_TRIAL]}.pt")
    found: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return found


def _is_whole(model: LoggedModel) -> bool:
    return str(model.status) == "READY"
