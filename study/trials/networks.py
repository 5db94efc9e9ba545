"""The networks of runs that keep theirs, in a file each, until the tracking store has them."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from go4align.disk import write_whole
from study.trials.records import Trial

if TYPE_CHECKING:
    from go4align.training import Trainer

FOLDER = "networks"
"""Beside the checkpoints of a run of the study."""
MOST_MIB = 200.0
"""Larger ones are not kept: each goes into the store's artifacts."""


def network_file(folder: Path, trial_id: str) -> Path:
    """Where a trial's network is, in the folder of its run of the study."""
    return folder / FOLDER / f"{trial_id}.pt"


def write_network(trainer: Trainer, trial: Trial, file: Path) -> float | None:
    """Write what the trial's selection rule chose: weights, and the configuration that they belong to.

    A disk that takes no network does not spoil the run.

    Returns:
        The size in MiB; None where nothing was written.

    Warns:
        CheckpointWarning: the network is too large, or the disk takes none.
    """
    import torch  # who only asks where the files are needs none

    weights = trainer.selected.network(trainer.model)
    mib = sum(part.nbytes for part in weights.values() if isinstance(part, torch.Tensor)) / 2**20
    if mib > MOST_MIB:
        _warn(f"its network has {mib:.0f} MiB, and up to {MOST_MIB:.0f} are kept.")
        return None
    buffer = io.BytesIO()  # onto a full disk, torch itself fails with errors of its own
    torch.save({"configuration": trial.configuration.model_dump_json(), "network": weights}, buffer)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, buffer.getbuffer())
    except OSError as error:
        _warn(f"its network cannot be kept: {os.strerror(error.errno) if error.errno else error}.")
        return None
    return mib


def _warn(text: str) -> None:
    from go4align.training import CheckpointWarning

    warnings.warn(CheckpointWarning(text), stacklevel=3)
