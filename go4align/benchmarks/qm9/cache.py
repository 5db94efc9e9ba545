"""The converted molecules on disk, about 50 MB in all: what the arrays are, and how a source becomes them."""

import hashlib
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.prepared import open_prepared, progress, save_array
from go4align.benchmarks.qm9 import source

VERSION = 2
"""Raise it when the arrays or their meaning change: older caches are then rebuilt."""


@dataclass(frozen=True)
class Cache:
    """All molecules, memory-mapped and read-only.

    index [S] (QM9's own numbering from 1), sizes [S] (atoms), z [A], pos [A, 3] in Angstrom, n_bonds [S], bonds [B, 3]
    as (i, j, order) with i < j within the molecule, y [S, 19] in torch_geometric's units and order.
    """

    index: NDArray[np.int32]
    sizes: NDArray[np.uint8]
    z: NDArray[np.uint8]
    pos: NDArray[np.float32]
    n_bonds: NDArray[np.uint8]
    bonds: NDArray[np.uint8]
    y: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sizes)


def open_cache(data_dir: Path, root: Path | None = None, limit: int | None = None) -> Cache:
    """The converted molecules of a source, from the cache in `data_dir` where there is one; safe to call concurrently.

    `limit`: only the first molecules of qm9pack, for quick tests.
    """
    build = partial(convert, root=root, limit=limit)
    prepared = open_prepared(data_dir / cache_name(root, limit), build, version=VERSION, data_set="QM9")
    return Cache(**prepared.arrays)


def cache_name(root: Path | None, limit: int | None) -> str:
    if root is None:
        return "qm9pack" if limit is None else f"qm9pack-first{limit}"
    processed = root.resolve() / "processed" / "data_v3.pt"
    stamp = processed.stat().st_mtime_ns if processed.is_file() else 0  # a root prepared anew is read anew
    return f"pyg-{hashlib.sha256(f'{processed} {stamp}'.encode()).hexdigest()[:12]}"


def convert(folder: Path, root: Path | None, limit: int | None) -> None:
    """Write the arrays of a source into `folder`, which holds intermediate files, too, on the way."""
    with progress("QM9", "molecules", None if root else limit or source.MOLECULES) as report:
        arrays = source.read_pyg_root(root) if root else source.read_qm9pack(folder, report, limit)
    for name, array in drop_unbonded(arrays).items():
        save_array(folder, name, array)


def drop_unbonded(arrays: source.Arrays) -> source.Arrays:
    """Leave out molecules whose bonds could not be told; every molecule has at least one."""
    keep = arrays["n_bonds"] > 0
    if keep.all():
        return arrays
    lost = f"{(~keep).sum()} of {len(keep)} molecules"
    warnings.warn(f"QM9: {lost} left out, because their bonds do not fit their positions", stacklevel=2)
    atoms, bonds = np.repeat(keep, arrays["sizes"]), np.repeat(keep, arrays["n_bonds"])
    rows = {"z": atoms, "pos": atoms, "bonds": bonds}
    return {key: array[rows.get(key, keep)] for key, array in arrays.items()}
