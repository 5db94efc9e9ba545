"""Runs steps one after the other, and shows what they print."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from go4align.errors import RunFailedError
from study.cluster.launcher import Look, Step
from study.store.uri import without_password

_CHATTER = re.compile(
    r"Loaded cached provider|If you experience issues with|Fetched IP|Shared connection to|Connection to .* closed|"
    r"Warning: Permanently added|.*ClusterState:|bash: cannot set terminal|bash: no job control|Error: Command failed:|"
    r"\s+ssh -tt |bash: .*/\.bashrc: No such file|Killed by signal 15"
)
"""What Ray's launcher and ssh say at every command."""

_HINTS = ("Useful commands for your local machine", "Next steps")
"""Begin what `ray up`, `ray start` and `ray job submit` end with: the commands that these steps are."""

_NO_HEAD = re.compile(r"RuntimeError: Head node of cluster \((.*)\) not found!")
"""Ends Ray's traceback where no cluster of the file runs."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]")


def run_steps(steps: Sequence[Step], console: Console, *, folder: Path, go_on: bool = False) -> None:
    """Run every step.

    Args:
        steps: what to run.
        console: shows titles and output.
        folder: where relative paths of the cluster file count from.
        go_on: try the next step where one fails.

    Raises:
        RunFailedError: a step failed; names it, and what to do.
    """
    for number, step in enumerate(steps, start=1):
        console.print(f"[{number}/{len(steps)}] {step.title}", markup=False)
        code, kept = 0, []
        for found in stream(step, folder):
            if isinstance(found, int):
                code = found
            elif step.silent:
                kept.append(found)
            else:
                console.print(f"  {found}", markup=False, soft_wrap=True)
        if code:
            for line in kept[-10:]:
                console.print(f"  {line}", markup=False, soft_wrap=True)
            failure = f"'{step.title}' failed with exit code {code}. {step.remedy}".strip()
            if not go_on:
                raise RunFailedError(failure)
            console.print(f"  {failure}", markup=False, soft_wrap=True)


def left_behind(looks: Sequence[Look], folder: Path) -> list[str]:
    """What is left of a cluster, and where nobody could look."""
    found = []
    for place, step in looks:
        *lines, code = stream(step, folder)
        text = [str(line) for line in lines]
        if step.command[0] != "ssh":
            found += [f"{place}: {' '.join(text)}"] if text and not code else []  # it fails where there is none
        elif code:
            found.append(f"{place} does not answer, so what runs there is unknown ({' '.join(text) or code})")
        else:
            found += [f"{place} still runs {left}" for left in filter(None, map(_of_ray, text))]
    return found


def _of_ray(line: str) -> str | None:
    """Ray's process in a line of `ps` (pid, state, name); None for another one, and for one that is dead already."""
    pid, state, name, *_ = [*line.split(), "", ""]
    return f"{name} (process {pid})" if name in {"raylet", "gcs_server"} and not state.startswith("Z") else None


def show_steps(steps: Sequence[Step], console: Console) -> None:
    """Print what would run."""
    for number, step in enumerate(steps, start=1):
        console.print(f"[{number}/{len(steps)}] {step.title}", markup=False)
        console.print(f"    {without_password(str(step))}", markup=False, soft_wrap=True)


def stream(step: Step, folder: Path) -> Iterator[str | int]:
    """The lines a step prints, without chatter, and at last its exit code; closing the iterator ends the step."""
    with subprocess.Popen(
        list(step.command),
        cwd=folder,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"} | step.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        umask=0o077,  # the token is for nobody else
    ) as process:
        try:
            yield from _useful(process.stdout or ())
            yield process.wait()
        finally:
            if process.poll() is None:
                process.terminate()


def _useful(lines: Iterable[str]) -> Iterator[str]:
    """Lines without colours, chatter and hints, and without the traceback of a cluster that does not run."""
    frames: list[str] = []
    for line in lines:
        line = _ANSI.sub("", line).rstrip()
        if line.startswith("Traceback (most recent call last):") or (frames and line.startswith(" ")):
            frames.append(line)
            continue
        if missing := _NO_HEAD.match(line):
            frames, line = [], f"The head of {missing[1]} does not run."
        yield from frames
        frames = []
        if line.lstrip().startswith(_HINTS):
            break
        if line and not _CHATTER.match(line):
            yield line
    yield from frames
    for _ in lines:
        pass  # read to the end: who writes must not wait
