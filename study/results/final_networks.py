"""The networks that tuned final runs have left in a tracking store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError, unknown_name
from study.spec.configuration import Configuration
from study.spec.loading import parse_json
from study.store.networks import read_network, stored_networks
from study.store.queries import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from go4align.models.base import MultiTaskModel


def load_network(
    client: MlflowClient, uri: str, stored: StoredRun, method: str, seed: int | None = None
) -> MultiTaskModel:
    """The network of a method's tuned final run, in eval mode, on the CPU.

    Args:
        client, uri: of the store.
        stored: the study.
        method: whose.
        seed: of which final seed; None for the first of which there is a network.

    Raises:
        UserError: no such network, or it cannot be read.
    """
    kept = stored_networks(client, stored.parent.info.experiment_id)
    finals = [run for run in stored.trials if run.data.tags["stage"] == "final" and run.info.run_id in kept]
    own = [run for run in finals if run.data.tags["method"] == method]
    chosen = next((run for run in own if seed in (None, _seed(run))), None)
    if chosen is None:
        raise _absent(stored.parent.data.tags["study"], finals, own, method, seed)
    try:
        found = read_network(uri, kept[chosen.info.run_id])
    except Exception as error:  # MLflow, its stores of artifacts and torch each have their own
        name = chosen.data.tags["trial"]
        raise UserError(f"The network of {name} cannot be read: {' '.join(str(error).split())[:200]}") from None
    configuration = parse_json(Configuration, found["configuration"], "The network's configuration")
    benchmark = build_benchmark(configuration.benchmark.name, **configuration.benchmark.options)
    model = benchmark.build_model()
    model.load_state_dict(found["network"])
    return model.eval()


def _seed(run: Run) -> int:
    return int(run.data.tags["seed"])


def _absent(study: str, finals: list[Run], own: list[Run], method: str, seed: int | None) -> UserError:
    if own:
        seeds = ", ".join(str(_seed(run)) for run in own)
        return UserError(f"'{method}' of the study '{study}' has networks of the seeds {seeds}, found none of {seed}.")
    if finals:
        return unknown_name("method with a network", method, {run.data.tags["method"] for run in finals})
    return UserError(
        f"The study '{study}' has no kept network. Tuned final runs leave theirs, unless the study file says "
        f"`keep_networks: false`: study final {study}"
    )
