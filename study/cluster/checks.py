"""What would go wrong on a cluster, found without a network: in its file, and between the file and a study."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from go4align.errors import UserError
from study.cluster.files import ClusterFile, exports, read_by_ray
from study.cluster.names import name_findings
from study.cluster.nodes import is_loopback, node_kinds, on_loopback, several
from study.spec import StudyFile, read_otherwise, read_text
from study.store.uri import sqlite_path, tracking_uri, without_password

TOKEN = "~/.ray/auth_token"
"""Where Ray looks for the token that nodes and clients of a cluster share."""


def findings(cluster: ClusterFile, study: StudyFile | None = None, store: str | None = None) -> list[str]:
    """Everything that must be mended before a launch, one line each; none where all is well.

    Args:
        cluster: a valid cluster file.
        study: what shall run on it.
        store: the tracking store that a command line names.
    """
    found = [*_scalars(cluster), *name_findings(cluster), *_installs(cluster), *_commands(cluster)]
    found += [*_files(cluster), *_storage(cluster)]
    found += _store(cluster, study, store)
    return found + (list(_resources(cluster, study)) if study else [])


def cluster_store(cluster: ClusterFile, study: StudyFile | None = None, store: str | None = None) -> str | None:
    """The tracking store a study on the cluster uses: the command line's, the study file's, the cluster file's."""
    return store or (study and study.tracking_uri) or cluster.settings.environment.get("MLFLOW_TRACKING_URI")


def _scalars(cluster: ClusterFile) -> Iterator[str]:
    for line, text in read_otherwise(read_text(cluster.path, "cluster file")):
        yield read_by_ray(line, text)


def _installs(cluster: ClusterFile) -> Iterator[str]:
    """What a node runs is in the extra `study`; files written before there was one lack it."""
    commands = cluster.config.get("head_setup_commands", []) + cluster.config.get("worker_setup_commands", [])
    for command in dict.fromkeys(commands):  # Ray has put `setup_commands` into both
        extras = re.search(r"go4align.*pip install .*\.\[([\w,]+)\]", command)
        if extras and "study" not in extras[1].split(","):
            yield f"`setup_commands`: nodes need the extra `study`, found .[{extras[1]}]: write .[study,{extras[1]}]."


def _commands(cluster: ClusterFile) -> Iterator[str]:
    for kind in ("head", "worker"):
        key, start, stop = f"`{kind}_start_ray_commands`", cluster.starts[kind], cluster.stops[kind]
        if not start or not stop:
            yield f"{key} must hold a command with `ray stop` and one with `ray start`."
            continue
        for name, command in (("ray stop", stop), ("ray start", start)):
            if not re.search(r"\bPATH=", exports(command)) and not cluster.config.get("docker"):
                yield (
                    f"{key}: `{name}` must come after the PATH it is found on, which a login by ssh may lack: write "
                    f"`export PATH=$HOME/go4align-study/.venv/bin:$PATH; {name} ...`."
                )
        if "RAY_AUTH_MODE=token" not in exports(start):
            yield (
                f"{key}: `ray start` listens on all interfaces, so it must ask for a token: begin with "
                "`export RAY_AUTH_MODE=token PATH=...;`."
            )
        if re.search(r"--dashboard-host[= ](0\.0\.0\.0|::)", start):
            yield (
                f"{key}: the dashboard takes jobs from everyone who reaches it: write `--dashboard-host=127.0.0.1` and "
                "look at it through `ray dashboard`."
            )


def _files(cluster: ClusterFile) -> Iterator[str]:
    mounts = cluster.config.get("file_mounts") or {}
    if TOKEN not in mounts:
        yield f"`file_mounts` must bring Ray's token to the nodes: add `{TOKEN}: {TOKEN}`."
    local = {f"file_mounts.{remote}": path for remote, path in mounts.items() if remote != TOKEN}
    if key := cluster.config.get("auth", {}).get("ssh_private_key"):
        local["auth.ssh_private_key"] = key
    for name, path in local.items():
        if not (cluster.path.parent / Path(path).expanduser()).exists():
            yield f"`{name}`: there is no file or folder '{path}' here. A relative path counts from the cluster file."


def _storage(cluster: ClusterFile) -> Iterator[str]:
    if not several(cluster):
        return
    home = cluster.settings.environment.get("GO4ALIGN_HOME")
    if home is None:
        yield (
            "`metadata.environment.GO4ALIGN_HOME` is required with several nodes: a folder on storage that all of them "
            "mount at the same path. A trial that loses its node goes on from the checkpoint it left there."
        )
    elif not Path(home).is_absolute():
        yield f"`metadata.environment.GO4ALIGN_HOME` must be an absolute path on shared storage, found '{home}'."
    elif re.match(r"/(tmp|var/tmp|dev/shm|run)(/|$)", home) and not on_loopback(cluster):
        yield f"`metadata.environment.GO4ALIGN_HOME` must be on shared storage; '{home}' is each node's own."


def _store(cluster: ClusterFile, study: StudyFile | None, store: str | None) -> Iterator[str]:
    uri = cluster_store(cluster, study, store)
    if not several(cluster):
        return
    remedy = "Start an MLflow server that all nodes reach, and name it as http://HOST:PORT (docs/cluster.md)."
    if uri is None:
        yield f"`metadata.environment.MLFLOW_TRACKING_URI` is required with several nodes. {remedy}"
        return
    shown = without_password(uri)
    try:
        if sqlite_path(uri) is not None or uri.startswith("sqlite"):
            yield f"The tracking store {shown} is a file, which one machine at a time can use. {remedy}"
            return
        host = urlsplit(tracking_uri(uri)).hostname or ""
    except UserError as error:
        yield str(error)
        return
    if is_loopback(host) and not on_loopback(cluster):
        yield f"The tracking store {shown} is another machine on every node: '{host}' is always oneself. {remedy}"


def _resources(cluster: ClusterFile, study: StudyFile) -> Iterator[str]:
    kinds = node_kinds(cluster)
    for trial in dict.fromkeys([study.resources_of("search"), study.resources_of("final")]):
        if any(kind.holds(trial) != 0 for kind in kinds):
            continue
        found = "; ".join(f"{kind.name}: {_number(kind.cpus)} CPUs, {_number(kind.gpus)} GPUs" for kind in kinds)
        yield (
            f"A trial of '{study.name}' needs {trial.cpus:g} CPUs and {trial.gpus:g} GPUs on one node, but no kind of "
            f"node has them ({found}). Lower `resources` of the study (of final runs `final.resources`), or choose "
            "other nodes."
        )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
