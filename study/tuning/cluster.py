"""The Ray cluster that a study runs on: started or joined, and found large enough."""

import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.autoscaler.sdk import request_resources

from go4align.errors import RunFailedError, UserError
from go4align.home import home_folder
from study.spec.run_sections import Resources

_LOOK_EVERY_S = 5.0
_MOST_ASKED = 1000
_SHUTDOWN_S = 2.0
_BEGIN_S = 300.0
"""How long the first worker may take to start: importing torch from a slow disk takes minutes, but not as many."""
_LOCAL: dict[str, Any] = {"address": "local", "include_dashboard": False}
_LONGEST_TEMP = 40
"""Characters of a temporary folder below which a path of Ray's sockets stays under the system's limit, 107."""


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one this process is already connected to, or a fresh local one.

    Workers keep their files and find their data in the same `$GO4ALIGN_HOME` as this process, however their node was
    started.
    """
    if address:
        _check_port(address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"address": address} | _same_home() if address else _LOCAL | _short_folder()
    with _imports_as_here() as folder:
        with chdir(folder):
            _connect(options, address)
        try:
            yield
        finally:
            _within(_SHUTDOWN_S, ray.shutdown)


def _connect(options: dict[str, Any], address: str | None) -> None:
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
    except ConnectionError as error:
        raise UserError(f"No Ray cluster at '{address}': {error} Start one with `ray start --head`.") from None
    except Exception as error:  # Ray, the system and its libraries each have their own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunFailedError(
            f"Ray cannot {'join ' + address if address else 'start here'}: {lines[-1]} See that its temporary folder "
            "(RAY_TMPDIR, else TMPDIR) can be written to and has room, or name another."
        ) from None
    _silence_workers()


def _same_home() -> dict[str, Any]:
    """Tells it to the nodes of a cluster that runs already; those of a job of `study launch` were told, and Ray refuses
    to be told twice."""
    if "GO4ALIGN_HOME" not in os.environ or RAY_JOB_CONFIG_JSON_ENV_VAR in os.environ:
        return {}
    return {"runtime_env": {"env_vars": {"GO4ALIGN_HOME": str(home_folder())}}}


def _short_folder() -> dict[str, str]:
    """A temporary folder for Ray where the system's is so long that no socket could be made in it."""
    given = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(given) <= _LONGEST_TEMP:
        return {}
    found = next((path for path in ("/tmp", "/var/tmp") if os.access(path, os.W_OK | os.X_OK)), None)
    return {"_temp_dir": f"{found}/ray-{os.getuid()}"} if found else {}


@contextmanager
def _imports_as_here() -> Iterator[Path]:
    """The folder to start Ray in, so that workers import from the same places as this process.

    Ray puts that folder before all others in every worker, where a file of the user's, `study.py` or `numpy.py`, would
    hide the package of that name. So it is an empty one, unless this process imports from its working folder, too.
    """
    here = Path.cwd()
    if {"", str(here)} & set(sys.path):
        yield here
        return
    with tempfile.TemporaryDirectory(prefix="study-") as empty:
        yield Path(empty)


def _silence_workers() -> None:
    """Ray prints tracebacks and advice when a worker dies or cannot start; trials say why they failed in one line."""
    from ray._private import worker

    worker.print_to_stdstream = lambda *_, **__: None


def _within(seconds: float, call: Callable[[], object]) -> bool:
    """Whether a call of Ray's came back in time: without its cluster, Ray waits for minutes."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


class NodeWatch:
    """How many trials the cluster holds, as nodes come and go.

    An autoscaler is asked for room for all trials that are left, so that it starts nodes, within the limits of its
    cluster file, and gives back those that no trial needs any more. Several studies on one cluster overwrite each
    other's request; pending trials still count as demand.

    Args:
        resources: of a trial.
        patience_s: how long the cluster may be without a node that can hold one, for an autoscaler to replace it. Ray
            itself would wait for ever.
        remedy: what to do after that.

    Attributes:
        slots: how many trials the cluster has held at once at its largest.
        on_growth: told when that becomes more.

    Raises:
        UserError: no node can hold a trial.
    """

    def __init__(self, resources: Resources, patience_s: float, remedy: str) -> None:
        self._resources = resources
        self._patience_s = patience_s
        self._remedy = remedy
        self._looked = self._seen = time.monotonic()
        self._asked = 0
        self._begin_by = self._seen + _BEGIN_S
        self.slots = check_resources(resources)
        self.on_growth: Callable[[int], object] = lambda slots: None

    def check(self, left: int, *, begun: bool) -> None:
        """Look, every few seconds.

        Args:
            left: how many trials run or are still to run.
            begun: whether any has reached a worker.

        Raises:
            RunFailedError: there has been no node for a trial for too long, or no worker although there are nodes.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        slots = count_slots(self._resources)
        self._ask(left)
        if slots > self.slots:
            self.slots = slots
            self.on_growth(slots)
        if slots:
            self._seen = now
            if not begun and now > self._begin_by:
                raise RunFailedError(
                    f"No worker has started within {_BEGIN_S:.0f} s, though there is room for {slots}: see what Ray's "
                    f"logs on the nodes say of it (here: {_logs()}), mend that, then resume the study."
                )
        elif now - self._seen > self._patience_s:
            raise RunFailedError(
                f"The Ray cluster has had no node for a trial for {now - self._seen:.0f} s: it crashed or was stopped. "
                f"Nothing is lost: {self._remedy}."
            )

    def close(self) -> None:
        """Withdraw the request."""
        self._ask(0)

    def _ask(self, trials: int) -> None:
        if min(trials, _MOST_ASKED) != self._asked:
            self._asked = min(trials, _MOST_ASKED)
            with suppress(Exception):  # only a hint: trials run without it, and the cluster may be gone
                ask_for_room(self._resources, self._asked)


def _logs() -> str:
    node = ray._private.worker._global_node
    return str(node.get_logs_dir_path()) if node else "/tmp/ray/session_latest/logs"


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
            "Lower `resources` (of final runs `final.resources`), or add nodes."
        )
    return slots
