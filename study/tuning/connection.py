"""The Ray cluster that a study runs on: started or joined, and found large enough."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from go4align.errors import RunFailedError, UserError
from study.config import Resources

_LOOK_EVERY_S = 5.0


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one this process is already connected to, or a fresh local one."""
    if address:
        _check_port(address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
    except ConnectionError as error:
        raise UserError(f"No Ray cluster at '{address}': {error} Start one with `ray start --head`.") from None
    try:
        yield
    finally:
        ray.shutdown()


class NodeWatch:
    """Notices that nodes have joined, and that none is left that could hold a trial; Ray would wait for one for ever.

    Args:
        resources: of a trial.
        patience_s: how long a cluster may be without such a node, for an autoscaler to replace it.

    Attributes:
        slots: how many trials the cluster has held at once at its largest: a trial whose node is lost waits for
            another, which is what makes an autoscaler start one.
        on_growth: told when that becomes more.

    Raises:
        UserError: no node can hold a trial.
    """

    def __init__(self, resources: Resources, patience_s: float) -> None:
        self._resources, self._patience_s = resources, patience_s
        self._looked = self._seen = time.monotonic()
        self.slots = check_resources(resources)
        self.on_growth: Callable[[int], object] = lambda slots: None

    def check(self) -> None:
        """Look, every few seconds.

        Raises:
            RunFailedError: there has been none for too long.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked, slots = now, count_slots(self._resources)
        if slots > self.slots:
            self.slots = slots
            self.on_growth(slots)
        if slots:
            self._seen = now
        elif now - self._seen > self._patience_s:
            raise RunFailedError(
                f"The Ray cluster has had no node for a trial for {now - self._seen:.0f} s: it crashed or was stopped. "
                "Nothing is lost: start it again, then `study resume NAME`."
            )


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


def count_slots(resources: Resources) -> int:
    """How many trials the nodes that are alive hold at once."""
    slots = 0
    for node in ray.nodes():
        if node["Alive"]:
            free = node["Resources"]
            cpus = free.get("CPU", 0) / resources.cpus
            slots += int(min(cpus, free.get("GPU", 0) / resources.gpus) if resources.gpus else cpus)
    return slots


def check_resources(resources: Resources) -> int:
    """How many trials the connected cluster holds at once.

    Raises:
        UserError: not one.
    """
    slots = count_slots(resources)
    if slots < 1:
        raise UserError(
            f"A trial needs {resources.cpus:g} CPUs and {resources.gpus:g} GPUs, but no node has them: the cluster has "
            f"{ray.cluster_resources().get('CPU', 0):g} CPUs and {ray.cluster_resources().get('GPU', 0):g} GPUs. "
            "Lower `resources`, or add nodes."
        )
    return slots
