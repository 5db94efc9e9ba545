"""The converted molecules on disk, about 50 MB in all: what the arrays are, and how a source becomes them."""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.data import DataSource
from go4align.benchmarks.prepared import Build, Prepared, progress, save_array
from go4align.benchmarks.qm9 import source
from go4align.home import data_home

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


class QM9Source(DataSource):
    """The molecules of the package qm9pack, converted when they are first asked for, or of a torch_geometric root.

    Args:
        limit: only the first molecules of qm9pack, in a folder of their own, for quick tests.
    """

    name = "qm9"
    version = VERSION
    how_to_get = f"They come with the package qm9pack ({source.INSTALL}), or: study data qm9 --root DIR"

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit

    @property
    def folder(self) -> Path:
        return data_home() / ("qm9" if self._limit is None else f"qm9-first{self._limit}")

    def from_root(self, root: Path) -> Build:
        """What converts a folder that torch_geometric's `QM9(root)` has prepared."""
        source.pyg_file(root)
        return partial(convert, root=root, limit=None)

    def open(self) -> Prepared:
        """The prepared data, converted from qm9pack where there are none."""
        return self.convert(partial(convert, root=None, limit=self._limit), source="the package qm9pack")

    def cache(self) -> Cache:
        """All molecules."""
        return Cache(**self.open().arrays)


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
