"""One trial: a frozen configuration and a seed in, a frozen result out. Works without Ray; Ray only wraps it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from go4align.training import Checkpoints, EpochRecord
from study.trials.alone import run_alone
from study.trials.records import Trial, TrialResult
from study.trials.together import train_together


def run_trial(
    trial: Trial,
    on_epoch: Callable[[EpochRecord], Any] = lambda _: None,
    *,
    device: str | None = None,
    threads: int = 1,
    checkpoints: Checkpoints | None = None,
    network: Path | None = None,
) -> TrialResult:
    """Train one configuration; a failure is a result, never an exception.

    Args:
        trial: what to run; in several processes, where its training says so.
        on_epoch: called after every epoch; a run that goes on from a checkpoint calls it for that epoch again.
        device: default CUDA where there is one.
        threads: torch's threads on a CPU; results depend on their number, so trials and single runs use one.
        checkpoints: where every epoch is kept, and where to go on from if there is any; default nowhere. On a CPU the
            result is, bit for bit, that of a run that was never interrupted.
        network: the file of the selected network, of a trial that keeps it; default nowhere.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    train = train_together if trial.configuration.training.processes > 1 else run_alone
    return train(trial, on_epoch, device=device, threads=threads, checkpoints=checkpoints, network=network)
