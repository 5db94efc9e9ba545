"""The steps of launching, following and stopping a cluster, as data: what --dry-run prints is what runs."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from go4align.errors import UserError
from study.cluster.checks import cluster_store
from study.cluster.files import ClusterFile, exports
from study.cluster.nodes import Expected
from study.spec import StudyFile

LAUNCHED = "launched"
"""Folder in `$GO4ALIGN_HOME` for the study files that were brought to the cluster."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        title: what it does.
        command: the words of the command.
        environment: variables it needs beside those of this process.
        silent: its output is a secret, or of no use.
        remedy: what to do where it fails.
    """

    title: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    remedy: str = ""

    def __str__(self) -> str:
        """As it can be typed."""
        settings = [f"{key}={shlex.quote(value)}" for key, value in self.environment.items()]
        return " ".join([*settings, shlex.join(self.command)])


class Look(NamedTuple):
    """A place where something of a cluster may be left, and the command that shows it."""

    place: str
    step: Step


@dataclass(frozen=True)
class ClusterLaunch:
    """What is launched.

    Attributes:
        source: the study's name, or its file on the head.
        study: the study.
        folder: of its files here, which go to the head; None for a preset.
        options: of the run, as words.
        job: names the job.
        expected: the nodes to wait for.
        minutes: how long.
    """

    source: str
    study: StudyFile
    folder: Path | None
    options: Sequence[str]
    job: str
    expected: Expected
    minutes: float


def check_packages(cluster: ClusterFile) -> None:
    """Ray's launcher would end in a traceback.

    Raises:
        UserError: the package that speaks to this cloud is missing.
    """
    extra, package = {"aws": ("aws", "boto3"), "gcp": ("gcp", "googleapiclient")}.get(
        cluster.provider["type"], ("", "")
    )
    if package and find_spec(package) is None:
        raise UserError(
            f"To start machines there, {package} is required: pip install -c constraints.txt -e '.[{extra}]'"
        )


def launch_steps(cluster: ClusterFile, launch: ClusterLaunch, store: str | None) -> list[Step]:
    """From nothing, or from a cluster that runs, to a job on its head."""
    file, name = str(cluster.path), launch.study.name
    again = f"Mend that and launch again; `study down {file}` stops the cluster."
    anew = f"Mend that, run `study down {file}` and launch again."
    steps = [_reach(cluster, host) for host in cluster.hosts]
    steps.append(
        Step("Make a token for the cluster, if there is none", [_ray(), "get-auth-token", "--generate"], silent=True)
    )
    up = [_ray(), "up", "--yes", "--no-restart", "--log-style", "pretty", "--log-color", "false", file]
    # Version 2 of the autoscaler counts an on-premise head as one of the workers, and starts one too few.
    steps.append(Step("Start the cluster", up, _V1 if cluster.hosts else {}, remedy=anew))
    if launch.folder:
        target = str(Path(launch.source).parent)
        steps.append(
            _on_head(cluster, "Make a folder for the study's files", ["mkdir", "-p", target.removeprefix("~/")], again)
        )
        send = [_ray(), "rsync-up", file, f"{launch.folder}/", f"{target}/"]
        steps.append(Step("Bring the study's files to the head", send, silent=True, remedy=again))
    ready = [
        "study", "cluster", "ready", launch.source, "--nodes", str(launch.expected.nodes), "--gpus",
        str(launch.expected.gpus), "--room", str(launch.expected.room), "--minutes", f"{launch.minutes:g}",
    ]  # fmt: skip
    steps.append(_on_head(cluster, "Wait for nodes and GPUs", ready, anew))
    environment = dict(cluster.settings.environment)
    uri = cluster_store(cluster, launch.study, store)
    submit = [
        "ray", "job", "submit", "--no-wait", "--submission-id", launch.job,
        "--metadata-json", json.dumps({"study": name}), "--runtime-env-json", json.dumps({"env_vars": environment}),
        "--", "study", "cluster", "job", launch.source, *launch.options,
        *(["--tracking-uri", uri] if uri and uri != environment.get("MLFLOW_TRACKING_URI") else []),
    ]  # fmt: skip
    return [*steps, _on_head(cluster, "Submit the study", submit, again), *attach_steps(cluster, name)]


def attach_steps(cluster: ClusterFile, study: str | None = None) -> list[Step]:
    """Follow the study that was launched last, or the named one."""
    follow = ["study", "cluster", "follow", *([study] if study else [])]
    remedy = (
        f"Follow it again: study attach {cluster.path}. Where no cluster runs: study launch {cluster.path} NAME|FILE"
    )
    return [_on_head(cluster, "Follow the study", follow, remedy)]


def down_steps(cluster: ClusterFile) -> list[Step]:
    """Stop Ray on every node; in a cloud, give the nodes back."""
    # Ray's launcher stops Ray on an on-premise head alone. The head goes first: it would start its workers again.
    stops = [
        Step(f"Stop Ray on {host}", ssh(cluster, host, cluster.stops["worker" if i else "head"]), silent=True)
        for i, host in enumerate(cluster.hosts)
    ]
    down = [_ray(), "down", "--yes", "--log-style", "pretty", "--log-color", "false", str(cluster.path)]
    return [*stops, Step("Stop the cluster", down, silent=bool(stops))]


def look_steps(cluster: ClusterFile) -> list[Look]:
    """For each place where something may be left, a command that shows it."""
    looks = [Look(host, _on_host(cluster, host)) for host in cluster.hosts]
    what = {"the head": "get-head-ip", "workers": "get-worker-ips"} if not looks else {}
    return looks + [
        Look(place, Step(f"Look for {place}", [_ray(), word, str(cluster.path)])) for place, word in what.items()
    ]


def _on_host(cluster: ClusterFile, host: str) -> Step:
    return Step(f"Look for Ray on {host}", ssh(cluster, host, 'ps -u "$(id -u)" -o pid=,stat=,comm='))


def ssh(cluster: ClusterFile, host: str, command: str) -> list[str]:
    """A command on an on-premise host, reached as Ray's launcher does: workers behind a head's outer address, by it."""
    auth, outer = cluster.config["auth"], cluster.provider.get("external_head_ip")
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    options += ["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"]
    if key := auth.get("ssh_private_key"):
        options += ["-o", "IdentitiesOnly=yes", "-i", str(Path(key).expanduser())]
    proxy = auth.get("ssh_proxy_command")
    if outer and host != cluster.hosts[0]:
        proxy = shlex.join(["ssh", *options, "-W", "%h:%p", f"{auth['ssh_user']}@{outer}"])
    address = outer if outer and host == cluster.hosts[0] else host
    jump = ["-o", f"ProxyCommand={proxy}"] if proxy else []
    return ["ssh", *options, *jump, f"{auth['ssh_user']}@{address}", command]


_V1 = {"RAY_UP_enable_autoscaler_v2": "0"}


def _reach(cluster: ClusterFile, host: str) -> Step:
    """Ray's launcher would try for a quarter of an hour."""
    remedy = f"`auth.ssh_user` and `auth.ssh_private_key` of {cluster.path} must open {host} without a password."
    return Step(
        f"Reach {host}", ssh(cluster, host, "command -v rsync"), silent=True, remedy=f"{remedy} It needs rsync."
    )


def _on_head(cluster: ClusterFile, title: str, command: Sequence[str], remedy: str) -> Step:
    """A command on the head, under the exports of its `ray start` and the study's own variables."""
    variables = {"RAY_API_SERVER_ADDRESS": _dashboard(cluster), **cluster.settings.environment}
    settings = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
    exported = " ".join([exports(cluster.starts["head"]) or "export", *settings])
    words = f"{exported}; {shlex.join(command)}"
    return Step(
        title,
        [_ray(), "exec", "--log-style", "pretty", "--log-color", "false", str(cluster.path), words],
        remedy=remedy,
    )


def _dashboard(cluster: ClusterFile) -> str:
    """Takes jobs, on the head alone."""
    port = re.search(r"--dashboard-port[= ](\d+)", cluster.starts["head"])
    return f"http://127.0.0.1:{port[1] if port else 8265}"


def _ray() -> str:
    """Ray's command of this Python environment."""
    return str(Path(sys.executable).with_name("ray"))
