"""The networks that tuned final runs have left in a tracking store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
    client: MlflowClient, uri: str, stored: StoredRun, method: str | None = None, seed: int | None = None
) -> MultiTaskModel:
    """The network of a method's tuned final run, in eval mode, on the CPU.

    Where several configurations of the method were run, as after a search that went on, the last one counts.

    Args:
        client, uri: of the store.
        stored: the study.
        method: whose; None for that of the last final run.
        seed: of which final seed; None for the first.

    Raises:
        UserError: no such network, or it cannot be read.
    """
    kept = stored_networks(client, stored.parent.info.experiment_id)
    finals = [run for run in stored.trials if run.data.tags["stage"] == "final" and run.info.run_id in kept]
    own = [run for run in finals if method in (None, run.data.tags["method"])]
    if not own:
        raise _absent(stored.parent.data.tags["study"], finals, method)
    last = [run for run in own if run.data.tags["configuration"] == own[-1].data.tags["configuration"]]
    seeds = {int(run.data.tags["seed"]): run for run in last}
    if seed is not None and seed not in seeds:
        named, there = own[-1].data.tags["method"], ", ".join(map(str, sorted(seeds)))
        raise UserError(f"'{named}' has networks of the seeds {there}, found none of {seed}. Name one of these.")
    chosen = seeds[min(seeds) if seed is None else seed]
    try:
        return _built(read_network(uri, kept[chosen.info.run_id]))
    except Exception as error:  # MLflow, its stores of artifacts, torch and other people's networks each have their own
        name = chosen.data.tags["trial"]
        raise UserError(f"The network of {name} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _built(found: Mapping[str, Any]) -> MultiTaskModel:
    configuration = parse_json(Configuration, found["configuration"], "The network's configuration")
    model = build_benchmark(configuration.benchmark.name, **configuration.benchmark.options).build_model()
    model.load_state_dict(found["network"])
    return model.eval()


def _absent(study: str, finals: list[Run], method: str | None) -> UserError:
    if finals:
        return unknown_name("method with a network", method, {run.data.tags["method"] for run in finals})
    return UserError(
        f"The study '{study}' has no kept network. Tuned final runs leave theirs, unless the study file says "
        f"`keep_networks: false`: study final {study}"
    )
