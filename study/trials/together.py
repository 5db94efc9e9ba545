"""One trial in several processes of a machine, each with its share of every batch and, where there are any, its GPU.

The trial's own process starts them, passes on what the first of them tells, and begins them anew from the last
checkpoint where one dies; `study.trials.alone` is all that each of them does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from go4align.training import Checkpoints, EpochRecord
from study.trials.alone import ATTEMPTS, run_alone
from study.trials.records import Trial, TrialResult

_WAIT = timedelta(minutes=30)
"""For another process: as long as the slowest validation, or reading of data, may take."""
_END_S = 30.0
"""For a process that has told all to end."""
_CONTEXT = multiprocessing.get_context("spawn")


def train_together(
    trial: Trial,
    on_epoch: Callable[[EpochRecord], Any],
    *,
    device: str,
    threads: int,
    checkpoints: Checkpoints | None,
    network: Path | None,
) -> TrialResult:
    """Train one configuration in `training.processes` processes; arguments and result are those of `run_trial`."""
    wanted = trial.configuration.training.processes
    if device == "cuda" and (found := torch.cuda.device_count()) < wanted:
        reason = f"`training.processes` = {wanted} need as many GPUs, found {found}. Lower it, or give the trial more"
        return TrialResult(trial.id, "failed", reason=reason)
    began = time.perf_counter()
    part = _Parts(trial, device, threads, checkpoints.folder if checkpoints else None, network)
    deaths = last = 0
    while True:
        with part.started() as running:
            for told in _told(running):
                if isinstance(told, TrialResult):
                    return told
                on_epoch(told)
                deaths = deaths if told.epoch <= last else 0
                last = max(last, told.epoch)
        deaths += 1
        if deaths >= ATTEMPTS:
            reason = f"epoch {last + 1}: one of its processes died {ATTEMPTS} times, for want of memory or of a GPU"
            seconds = time.perf_counter() - began
            return TrialResult(trial.id, "failed", epochs=last, seconds=seconds, reason=reason)


@dataclass(frozen=True)
class _Parts:
    """What every process needs to know; its place among them comes on top."""

    trial: Trial
    device: str
    threads: int
    checkpoints: Path | None
    network: Path | None

    @contextmanager
    def started(self) -> Iterator[dict[Connection, BaseProcess]]:
        """Start all of them; none is left in the end."""
        processes: dict[Connection, BaseProcess] = {}
        with tempfile.TemporaryDirectory(prefix="go4align-") as folder:
            try:
                for rank in range(self.trial.configuration.training.processes):
                    ours, theirs = _CONTEXT.Pipe(duplex=False)
                    arguments = (self, rank, f"file://{folder}/meeting", theirs)
                    process: BaseProcess = _CONTEXT.Process(target=_take_part, args=arguments, daemon=True)
                    process.start()
                    theirs.close()
                    processes[ours] = process
                yield processes
            finally:
                for connection, process in processes.items():
                    process.kill()
                    process.join()
                    connection.close()


def _told(running: Mapping[Connection, BaseProcess]) -> Iterator[EpochRecord | TrialResult]:
    """What the first process tells, and which one failed; until nothing more comes, where one has died.

    How a process ends that has told its result is of no interest.
    """
    first = next(iter(running))
    waiting = dict(running)
    while waiting:
        for connection in wait(list(waiting)):
            assert isinstance(connection, Connection)
            try:
                told = connection.recv()
            except (EOFError, OSError):  # OSError: killed in the middle of a message
                if _has_died(waiting.pop(connection), _END_S):
                    return
                continue
            if not isinstance(told, TrialResult):
                yield told
                continue
            del waiting[connection]
            if told.status == "failed" and any(_has_died(process) for process in waiting.values()):
                return  # what this one complains of is that another is gone
            if connection is first or told.status == "failed":
                yield told


def _has_died(process: BaseProcess, patience_s: float = 0.2) -> bool:
    """Whether it was killed; one that has told a result ends by itself, with 0. Where somebody else has asked for its
    exit code, nothing is known of that, and it counts as killed."""
    return bool(wait([process.sentinel], patience_s)) and process.exitcode != 0


def _take_part(parts: _Parts, rank: int, meeting: str, told: Connection) -> None:
    """Runs in each process. Ctrl-C is the parent's to hear, which ends them all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    trial = parts.trial
    try:
        device = _meet(parts, rank, meeting)
    except Exception as error:  # whatever keeps them from meeting is the trial's result
        reason = f"before training: its processes cannot meet: {type(error).__name__}: {error}".splitlines()[0]
        told.send(TrialResult(trial.id, "failed", reason=reason))
        return
    folder = parts.checkpoints
    leads = rank == 0
    checkpoints = None if folder is None else Checkpoints(folder) if leads else _ReadCheckpoints(folder)
    trial = trial if leads else replace(trial, test=False, keep_network=False)
    network = parts.network if leads else None

    def report(record: EpochRecord) -> None:
        if leads:
            told.send(record)

    result = run_alone(trial, report, device=device, threads=parts.threads, checkpoints=checkpoints, network=network)
    told.send(result)
    with suppress(RuntimeError):  # another process is gone
        dist.destroy_process_group()
    told.close()


def _meet(parts: _Parts, rank: int, meeting: str) -> str:
    """Join the others; returns this process's device."""
    device = parts.device
    if device == "cuda":
        device = f"cuda:{rank}"
        torch.cuda.set_device(rank)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "nccl" if device.startswith("cuda") else "gloo"
    size = parts.trial.configuration.training.processes
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size, timeout=_WAIT)
    return device


class _ReadCheckpoints(Checkpoints):
    """The first process's, for the others: they go on from them, and neither write nor count."""

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Nothing."""

    def attempt(self, epoch: int) -> int:
        """The first process counts."""
        return 1


def _end_with_parent() -> None:
    """A worker that is killed leaves nothing behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
