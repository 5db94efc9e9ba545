"""The converted molecules on disk: plain .npy files that every process maps into memory, about 50 MB in all.

A finished cache is a folder with a manifest. It is built under a file lock in a temporary folder beside it, flushed to
disk and renamed in one step, so a folder of that name is always whole; what a killed conversion leaves is removed by
the next one.
"""

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from go4align.benchmarks.qm9 import source
from go4align.errors import UserError

FORMAT = 1
"""Raise it when the arrays or their meaning change: older caches are then rebuilt."""

KEYS = ("index", "sizes", "z", "pos", "n_bonds", "bonds", "reach", "y")


@dataclass(frozen=True)
class Cache:
    """All molecules, memory-mapped and read-only.

    index [S] (QM9's own numbering from 1), sizes [S] (atoms), z [A], pos [A, 3] in Angstrom, n_bonds [S], bonds [B, 3]
    as (i, j, order) with i < j within the molecule, y [S, 19] in torch_geometric's units and order. reach [S, 4, 2]:
    bounds of the distances of two atoms with no, a single, a double and a triple bond.
    """

    index: NDArray[np.int32]
    sizes: NDArray[np.uint8]
    z: NDArray[np.uint8]
    pos: NDArray[np.float32]
    n_bonds: NDArray[np.uint8]
    bonds: NDArray[np.uint8]
    reach: NDArray[np.float32]
    y: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sizes)


def open_cache(data_dir: Path, root: Path | None = None, limit: int | None = None) -> Cache:
    """The converted molecules of a source, from the cache in `data_dir` where there is one; safe to call concurrently.

    `limit`: only the first molecules of qm9pack, for quick tests.
    """
    folder = data_dir / cache_name(root, limit)
    if not is_whole(folder):
        with FileLock(writable(data_dir) / f"{folder.name}.lock"):
            if not is_whole(folder):  # another process may have built it while this one waited
                build(folder, root, limit)
    return Cache(**{key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in KEYS})


def writable(data_dir: Path) -> Path:
    """The folder, made where it is missing; one line where that cannot be."""
    remedy = "Name another one with the option `data_dir` or the variable GO4ALIGN_HOME."
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"QM9's folder {data_dir} cannot be made: {error.strerror}. {remedy}") from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise UserError(f"QM9's folder {data_dir} must be writable, to hold the converted molecules. {remedy}")
    return data_dir


def cache_name(root: Path | None, limit: int | None) -> str:
    if root is None:
        return "qm9pack" if limit is None else f"qm9pack-first{limit}"
    processed = root.resolve() / "processed" / "data_v3.pt"
    stamp = processed.stat().st_mtime_ns if processed.is_file() else 0  # a root prepared anew is read anew
    return f"pyg-{hashlib.sha256(f'{processed} {stamp}'.encode()).hexdigest()[:12]}"


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a finished cache of this format with every file at its full length."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return manifest["format"] == FORMAT and all(
            (folder / name).stat().st_size == size for name, size in manifest["bytes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def build(folder: Path, root: Path | None, limit: int | None) -> None:
    """Convert the source and put the finished cache in place. The caller holds the lock."""
    for leftover in (*folder.parent.glob(f"{folder.name}.tmp-*"), folder):
        shutil.rmtree(leftover, ignore_errors=True)
    work = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    work.mkdir()
    try:
        with progress(None if root else limit or source.MOLECULES) as report:
            arrays = source.read_pyg_root(root) if root else source.read_qm9pack(work, report, limit)
        arrays = drop_unbonded(arrays)
        write(work, arrays | {"reach": reach(arrays)})
        work.rename(folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


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


def write(folder: Path, arrays: source.Arrays) -> None:
    """Every array as .npy, then the manifest that makes the folder whole; all flushed to disk."""
    for key in KEYS:
        with (folder / f"{key}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(arrays[key]))
            file.flush()
            os.fsync(file.fileno())
    sizes = {f"{key}.npy": (folder / f"{key}.npy").stat().st_size for key in KEYS}
    manifest = {"format": FORMAT, "molecules": len(arrays["sizes"]), "bytes": sizes}
    with (folder / "manifest.json").open("w") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    flush(folder)


def reach(arrays: source.Arrays) -> NDArray[np.float32]:
    """Per molecule, bounds of the distances of two atoms with no, a single, a double and a triple bond: [S, 4, 2].

    A little widened, to hold in the face of rounding; (inf, 0) where a molecule has no such pair.
    """
    sizes, n_bonds = arrays["sizes"].astype(np.int64), arrays["n_bonds"].astype(np.int64)
    atom_start, bond_start = np.cumsum(sizes) - sizes, np.cumsum(n_bonds) - n_bonds
    bounds = np.zeros((len(sizes), 4, 2), np.float32)
    for n in np.unique(sizes):
        of_size = np.flatnonzero(sizes == n)
        for chosen in np.array_split(of_size, 1 + len(of_size) // 1024):  # in pieces that stay in a processor's cache
            pos = arrays["pos"][atom_start[chosen][:, None] + np.arange(n)]
            distance = np.sqrt(sum(np.square(axis[:, :, None] - axis[:, None]) for axis in np.moveaxis(pos, 2, 0)))
            counts = n_bonds[chosen]
            place = np.repeat(bond_start[chosen] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            i, j, order = arrays["bonds"][place].T
            kind = np.full(distance.shape, -1, np.int8)
            kind[:, *np.triu_indices(n, 1)] = 0
            kind[np.repeat(np.arange(len(chosen)), counts), i, j] = order
            for bond in range(4):
                pairs = kind == bond
                bounds[chosen, bond, 0] = distance.min((1, 2), initial=np.inf, where=pairs) * 0.999
                bounds[chosen, bond, 1] = distance.max((1, 2), initial=0.0, where=pairs) * 1.001
    return bounds


def flush(folder: Path) -> None:
    """Make names in a folder durable (a no-op where folders cannot be opened)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr; elsewhere a line at the start and one at the end."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"QM9: converting {'' if total is None else f'{total:,} '}molecules, once\n")
        yield lambda count: None
        sys.stderr.write("QM9: converted\n")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("QM9: converting molecules, once", total=total)
        yield lambda count: bar.advance(task, count)
