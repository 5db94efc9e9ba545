"""Whether the hosts of an on-premise cluster have a study's data; asked by ssh, before anything is started."""

import re
import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from go4align.benchmarks.data import DataSource
from study.cluster.files import ClusterFile, exports
from study.cluster.launcher import Look, Step, ssh
from study.cluster.runner import stream

_DIGEST = re.compile(r"^digest (\w+), in (.+)$", re.MULTILINE)
_UNREACHABLE = 255
"""ssh's own exit code."""


def data_looks(cluster: ClusterFile, benchmark: str) -> list[Look]:
    """For each host, the command that shows its prepared data."""
    found = []
    for number, host in enumerate(cluster.hosts):
        setting = exports(cluster.starts["worker" if number else "head"]) or "export"
        variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in cluster.settings.environment.items())
        words = f"{setting} {variables}; {shlex.join(['study', 'data', benchmark])}"
        found.append(Look(host, Step(f"Look for the data on {host}", ssh(cluster, host, words))))
    return found


def data_findings(looks: list[Look], source: DataSource, folder: Path) -> list[str]:
    """Which hosts lack the data, have other ones than the first that has any, or cannot be asked; and what to do.

    Args:
        looks: see `data_looks`.
        source: of the benchmark.
        folder: where relative paths of the cluster file count from.
    """

    def ask(look: Look) -> tuple[str, int]:
        *lines, code = stream(look.step, folder)
        return "\n".join(map(str, lines)), int(code)

    with ThreadPoolExecutor(max(1, len(looks))) as pool:
        told = dict(zip((look.place for look in looks), pool.map(ask, looks), strict=True))
    having = {host: found for host, (text, code) in told.items() if not code and (found := _DIGEST.search(text))}
    findings = []
    for host, (text, code) in told.items():
        if code == _UNREACHABLE:
            findings.append(f"{host} does not answer, so whether it has the data of '{source.name}' is unknown.")
        elif host not in having and code != 2:
            told_there = " ".join(text.split()) or code
            findings.append(f"{host}: `study data` fails ({told_there}). Install this project there.")
        elif host not in having:
            findings.append(f"{host} has no data of '{source.name}'. {_bring(source, having, host)}")
    return findings + _others(source, having)


def _others(source: DataSource, having: Mapping[str, re.Match[str]]) -> list[str]:
    if not having:
        return []
    first, found = next(iter(having.items()))
    return [
        f"{host} has other data of '{source.name}' (digest {other[1]}) than {first} ({found[1]}). "
        f"{_bring(source, {first: found}, host)}"
        for host, other in having.items()
        if other[1] != found[1]
    ]


def _bring(source: DataSource, having: Mapping[str, re.Match[str]], host: str) -> str:
    """The command that brings the data to a host."""
    if not having:
        return source.how_to_get
    first, found = next(iter(having.items()))
    return bring(Path(found[2]), first, host)


def bring(folder: Path, source: str, target: str) -> str:
    """What to do so that a node gets the prepared data of another one."""
    path = shlex.quote(str(folder))
    return f"Bring them from {source}, there: rsync -a --mkpath --delete {path}/ {target}:{path}/"
