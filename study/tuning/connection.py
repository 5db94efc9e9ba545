"""The Ray cluster that a study runs on: started or joined, and found large enough."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from go4align.errors import RunFailedError, UserError
from study.config import Resources

_LOOK_EVERY_S = 5.0
_MOST_ASKED = 1000


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
    """How many trials the cluster holds, as nodes come and go.

    An autoscaler is asked for room for all trials that are left, so that it starts nodes, within the limits of its
    cluster file, and gives back those that no trial needs any more. Several studies on one cluster overwrite each
    other's request; pending trials still count as demand.

    Args:
        resources: of a trial.
        patience_s: how long the cluster may be without a node that can hold one, for an autoscaler to replace it. Ray
            itself would wait for ever.

    Attributes:
        slots: how many trials the cluster has held at once at its largest.
        on_growth: told when that becomes more.

    Raises:
        UserError: no node can hold a trial.
    """

    def __init__(self, resources: Resources, patience_s: float) -> None:
        self._resources, self._patience_s = resources, patience_s
        self._looked = self._seen = time.monotonic()
        self._asked = 0
        self.slots = check_resources(resources)
        self.on_growth: Callable[[int], object] = lambda slots: None

    def check(self, left: int) -> None:
        """Look, every few seconds.

        Args:
            left: how many trials run or are still to run.

        Raises:
            RunFailedError: there has been no node for a trial for too long.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked, slots = now, count_slots(self._resources)
        self._ask(left)
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

    def close(self) -> None:
        """Withdraw the request."""
        self._ask(0)

    def _ask(self, trials: int) -> None:
        if min(trials, _MOST_ASKED) != self._asked:
            self._asked = min(trials, _MOST_ASKED)
            with suppress(Exception):  # only a hint: trials run without it, and the cluster may be gone
                ask_for_room(self._resources, self._asked)


def ask_for_room(resources: Resources, trials: int) -> None:
    """Ask the cluster's autoscaler, if there is one, for nodes that hold so many trials at once, until asked again."""
    request_resources(bundles=[{"CPU": resources.cpus, "GPU": resources.gpus}] * trials)


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
