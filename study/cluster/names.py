"""Faults in what a cluster file names: the cluster, its place, its hosts, who logs in, the port where nodes meet."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator

from study.cluster.files import ClusterFile

_PORT = "6379"
"""Where `ray start --head` listens unless told otherwise."""
_LONGEST_HOST = 253
_PLACES = {"aws": ("region",), "gcp": ("project_id", "region", "availability_zone")}
"""Keys of `provider` that a cloud cannot do without; Ray's validation does not ask for them."""


def name_findings(cluster: ClusterFile) -> Iterator[str]:
    """One line each; nothing is looked up in a network."""
    yield from _cluster_name(cluster)
    yield from _place(cluster)
    yield from _login(cluster)
    yield from _hosts(cluster)
    yield from _starts(cluster)
    yield from _variables(cluster)


def _cluster_name(cluster: ClusterFile) -> Iterator[str]:
    name = cluster.config["cluster_name"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        yield (
            "`cluster_name` must be 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`, and begin with a letter "
            f"or digit (Ray names files and machines after it), found {name[:80]!r}."
        )


def _place(cluster: ClusterFile) -> Iterator[str]:
    for key in _PLACES.get(cluster.provider["type"], ()):
        if not cluster.provider.get(key):
            yield f"`provider.{key}` is required for {cluster.provider['type']}, found none."


def _login(cluster: ClusterFile) -> Iterator[str]:
    user = cluster.config.get("auth", {}).get("ssh_user", "")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", user):
        yield (
            f"`auth.ssh_user` must name the user that logs in by ssh on every node, found {user!r}. Name one, such as "
            "`ssh_user: ubuntu`."
            if user
            else "`auth.ssh_user` is required: the user that logs in by ssh on every node, such as `ssh_user: ubuntu`."
        )


def _hosts(cluster: ClusterFile) -> Iterator[str]:
    if not cluster.hosts:
        return
    workers = [(f"provider.worker_ips.{number}", host) for number, host in enumerate(cluster.hosts[1:])]
    named = [("provider.head_ip", cluster.hosts[0]), *workers]
    if "external_head_ip" in cluster.provider:
        named.append(("provider.external_head_ip", cluster.provider["external_head_ip"]))
    for key, host in named:
        if fault := _fault(host):
            yield f"`{key}` must be an address or a host's name, found {host!r}: {fault}"
    head, *counted = (_same(host) for host in cluster.hosts)
    for host, times in Counter(counted).items():
        if host == head:
            yield f"`provider.worker_ips` holds the head, {host}: it trains trials as it is. Remove it there."
        elif times > 1:
            yield f"`provider.worker_ips` holds {host} {times} times. Name each machine once."


def _fault(host: object) -> str:
    """What is wrong with a host's name, and the remedy; "" for nothing."""
    if not isinstance(host, str):
        return "it is no text. Write the address in quotes."
    if not host or host != host.strip():
        return "it is empty, or has spaces around it. Write the address alone."
    if _is_address(host):
        return ""
    if "/" in host or "@" in host:
        return "it has more than a host in it. Write the address alone; the user stands in `auth.ssh_user`."
    if re.fullmatch(r".*:\d+", host):
        return "it has a port. Write the address alone: ssh's port is set in ~/.ssh/config."
    if re.fullmatch(r"[0-9.]+", host):
        return "it is no IPv4 address, which has four numbers from 0 to 255."
    if re.search(r"[<>_{}$]", host) or re.match(r"your[.-]", host, re.IGNORECASE):
        return "it is a placeholder, or has characters that no host's name has. Write the machine's own."
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", part) for part in labels):
        return "a host's name is letters, digits and `-`, in parts of at most 63 joined by dots."
    return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(host: object) -> str:
    """One way to write a host: `::1` and `0:0:0:0:0:0:0:1` are one, and so are `Node1` and `node1.`."""
    text = str(host)
    return str(ipaddress.ip_address(text)) if _is_address(text) else text.lower().removesuffix(".")


def _starts(cluster: ClusterFile) -> Iterator[str]:
    """The head must be one, workers must join it, and both must speak of the same port."""
    head, worker = cluster.starts["head"], cluster.starts["worker"]
    if not head or not worker:
        return  # told with the commands
    if not re.search(r"--head\b", head):
        yield "`head_start_ray_commands`: `ray start` must have `--head`; without it there is no cluster to join."
    if "--autoscaling-config" not in head:
        yield (
            "`head_start_ray_commands`: `ray start` must have `--autoscaling-config=~/ray_bootstrap_config.yaml`; "
            "without it no worker is ever started."
        )
    if re.search(r"--head\b", worker):
        yield "`worker_start_ray_commands`: `ray start` must not have `--head`: each worker would be a cluster alone."
    listens = _option(head, "port") or _PORT
    address = _option(worker, "address")
    host, _, joins = address.rpartition(":")
    known = {"$RAY_HEAD_IP", "${RAY_HEAD_IP}", *cluster.hosts[:1]}
    if not address:
        yield "`worker_start_ray_commands`: `ray start` must have `--address=$RAY_HEAD_IP:PORT`, found none."
    elif joins != listens:
        yield (
            f"`worker_start_ray_commands`: workers join port {joins or 'none'} ({address}), but the head listens on "
            f"{listens}. Write `--address=$RAY_HEAD_IP:{listens}`."
        )
    elif host not in known:
        yield (
            f"`worker_start_ray_commands`: workers join {host}, which is not the head. Write "
            f"`--address=$RAY_HEAD_IP:{listens}`."
        )


def _option(command: str, name: str) -> str:
    """The value of an option in what follows `ray start`; "" where it is not given."""
    found = re.search(rf"--{name}[= ]\s*(['\"]?)([^\s'\";]+)\1", command.partition("ray start")[2])
    return found[2] if found else ""


def _variables(cluster: ClusterFile) -> Iterator[str]:
    for name in cluster.settings.environment:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield f"`metadata.environment` must hold variables' names (letters, digits and `_`), found {name[:80]!r}."
