"""What nodes a cluster file describes, and how many trials of a study they hold."""

import ipaddress
from typing import NamedTuple

from study.cluster.files import ClusterFile
from study.spec import Resources


class NodeKind(NamedTuple):
    """Nodes that are alike.

    Attributes:
        name: as the file has it.
        least, most: how many there will be.
        cpus, gpus: of each; None where that shows only once it has joined.
    """

    name: str
    least: int
    most: int
    cpus: float | None
    gpus: float | None

    def holds(self, trial: Resources) -> int | None:
        """How many trials one such node holds at once; None where that is not known."""
        if self.cpus is None or (self.gpus is None and trial.gpus):
            return None if self.gpus is None or self.gpus >= trial.gpus else 0
        return int(min(self.cpus / trial.cpus, (self.gpus or 0) / trial.gpus if trial.gpus else self.cpus / trial.cpus))


class Expected(NamedTuple):
    """What a launch waits for.

    Attributes:
        nodes: the head among them.
        gpus: of all of them; 0 where the file does not say.
        room: trials that the nodes hold at once, to ask the autoscaler for; 0 where it need not be asked.
    """

    nodes: int
    gpus: int
    room: int


def node_kinds(cluster: ClusterFile) -> list[NodeKind]:
    """The head first, then every type of worker."""
    types, head = cluster.config["available_node_types"], cluster.config["head_node_type"]
    if cluster.hosts:
        gpus, workers = cluster.settings.gpus_per_node, types[head]
        return [
            NodeKind("head", 1, 1, None, gpus),
            NodeKind("worker", workers["min_workers"], workers["max_workers"], None, gpus),
        ]
    kinds = [NodeKind(head, 1, 1, *_capacity(types[head]["resources"]))]
    for name, kind in types.items():
        most = min(kind["max_workers"], cluster.config["max_workers"])
        if most and name != head:
            kinds.append(NodeKind(name, kind["min_workers"], most, *_capacity(kind["resources"])))
    return kinds


def expected(cluster: ClusterFile, trial: Resources, workers: int | None = None) -> Expected:
    """What to wait for: all on-premise hosts, and in a cloud as many workers as the file allows.

    Args:
        cluster: the file.
        trial: what a trial takes.
        workers: not more than this many workers.
    """
    head, *kinds = node_kinds(cluster)
    left = cluster.config["max_workers"] if workers is None else workers
    nodes, gpus, room = 1, head.gpus or 0, head.holds(trial) or 0
    for kind in kinds:
        count = min(kind.least if cluster.hosts else kind.most, left)
        left -= count
        nodes, gpus, room = nodes + count, gpus + count * (kind.gpus or 0), room + count * (kind.holds(trial) or 0)
    return Expected(nodes, int(gpus), 0 if cluster.hosts else room)


def several(cluster: ClusterFile) -> bool:
    """Whether there may be more nodes than the head."""
    return sum(kind.most for kind in node_kinds(cluster)) > 1


def on_loopback(cluster: ClusterFile) -> bool:
    """Whether all hosts are this machine under other addresses, for which its loopback is no other place."""
    return bool(cluster.hosts) and all(is_loopback(host) for host in cluster.hosts)


def is_loopback(host: str) -> bool:
    """`localhost`, `127.x.x.x` or `::1`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _capacity(resources: dict[str, float]) -> tuple[float | None, float]:
    return resources.get("CPU"), resources.get("GPU", 0)
