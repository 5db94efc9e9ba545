"""The Ray cluster that a study runs on: started or joined, and found large enough."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from go4align.errors import UserError
from study.config import Resources


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one this process is already connected to, or a fresh local one."""
    if address:
        _check_port(address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"address": address} if address else {"include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
    except ConnectionError as error:
        raise UserError(f"No Ray cluster at '{address}': {error} Start one with `ray start --head`.") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """A closed port is told at once; Ray tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not (host and port.isdigit()):
        raise UserError(f"A Ray address must be HOST:PORT or auto, found '{address}'.")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError, ValueError) as error:  # a port of other digits, a name that is none
        raise UserError(
            f"No Ray cluster answers at '{address}' ({error}). Start one with `ray start --head`."
        ) from None


def check_resources(resources: Resources) -> int:
    """How many trials the connected cluster holds at once.

    Raises:
        UserError: not one.
    """
    slots = 0
    for node in ray.nodes():
        if node["Alive"]:
            free = node["Resources"]
            cpus = free.get("CPU", 0) / resources.cpus
            slots += int(min(cpus, free.get("GPU", 0) / resources.gpus) if resources.gpus else cpus)
    if slots < 1:
        raise UserError(
            f"A trial needs {resources.cpus:g} CPUs and {resources.gpus:g} GPUs, but no node has them: the cluster has "
            f"{ray.cluster_resources().get('CPU', 0):g} CPUs and {ray.cluster_resources().get('GPU', 0):g} GPUs. "
            "Lower `resources`, or add nodes."
        )
    return slots
