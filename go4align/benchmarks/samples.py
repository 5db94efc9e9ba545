"""Writing prepared data sample by sample: many are read at a time, and none but those few is held in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.prepared import progress

Sample = TypeVar("Sample")
Arrays = Mapping[str, NDArray[Any]]

_THREADS = min(8, os.cpu_count() or 1)
"""Files are decoded outside Python's lock."""
_CHUNK = 8 * _THREADS


def write_samples(
    data_set: str,
    samples: Mapping[str, Sequence[Sample]],
    read: Callable[[Sample], Arrays],
    folder: Path,
    *,
    noun: str = "pictures",
) -> None:
    """Write `{split}_{name}.npy` of [N, ...] for every array that a sample consists of, with a progress bar.

    Args:
        data_set: its name in messages.
        samples: of each split, what `read` is given, in their order; at least one.
        read: the arrays of a sample by name; of equal shape and type for all samples. Called from several threads.
        folder: where the files are written.
        noun: what the samples are.

    Raises:
        UserError: what `read` raises.
    """
    total = sum(map(len, samples.values()))
    with progress(data_set, noun, total) as report, ThreadPoolExecutor(_THREADS) as pool:
        for split, those in samples.items():
            first = read(those[0])
            arrays = {
                name: np.lib.format.open_memmap(
                    folder / f"{split}_{name}.npy", "w+", array.dtype, (len(those), *array.shape)
                )
                for name, array in first.items()
            }
            for start in range(0, len(those), _CHUNK):
                chunk = those[start : start + _CHUNK]
                for number, sample in enumerate(pool.map(read, chunk), start):
                    for name, array in sample.items():
                        arrays[name][number] = array
                report(len(chunk))
