"""Where molecules come from: the CSV files of the package qm9pack, or a folder that torch_geometric's QM9 prepared."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.qm9 import convert, targets
from go4align.errors import UserError

INSTALL = "pip install 'go4align-study[qm9]'"
MOLECULES = 130_831
"""In qm9pack, and in torch_geometric's QM9: QM9 without its 3,054 uncharacterised molecules."""

Arrays = dict[str, NDArray[Any]]
Report = Callable[[int], None]
"""Called with the number of molecules just finished."""


@dataclass(frozen=True)
class Slice:
    """Whole rows of a CSV file by byte offsets, at most `rows` of them."""

    path: Path
    start: int
    stop: int
    rows: int


def require(*modules: str) -> None:
    """One line with the command that installs what is missing."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(f"QM9 needs the package(s) {', '.join(missing)}, which are not installed: {INSTALL}")


def qm9pack_files() -> list[Path]:
    """The package's CSV files. The package itself is never imported: its `__init__` fails on current setuptools."""
    require("qm9pack")
    spec = find_spec("qm9pack")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(folder) / "data" / f"qm9_part{part}.csv" for folder in folders[:1] for part in (1, 2, 3)]
    absent = [file.name for file in files if not file.is_file()]
    if absent or not files:
        raise UserError(f"Package qm9pack in {folders} lacks {', '.join(absent)}: reinstall it with {INSTALL}")
    return files


def read_qm9pack(folder: Path, report: Report, limit: int | None = None, workers: int | None = None) -> Arrays:
    """Convert qm9pack's molecules (the first `limit`) with one process per core; `folder` takes intermediate files."""
    require("qm9pack", "pyarrow", "rdkit")
    workers = workers or min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 16)
    slices = plan(qm9pack_files(), 1 if limit else max(workers, 2), limit)
    jobs = [(part, folder / f"part{number}.npz") for number, part in enumerate(slices)]
    run_converters(jobs, workers, report)
    parts = []
    for _, out in jobs:
        with np.load(out) as part:
            parts.append(dict(part))
        out.unlink()
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    molecule = np.repeat(np.arange(len(arrays["sizes"])), arrays["sizes"])
    counts = np.stack(
        [np.bincount(molecule, arrays["z"] == z, len(arrays["sizes"])) for z in convert.ATOMIC_NUMBERS.values()], axis=1
    )
    arrays["y"] = targets.from_raw(arrays.pop("raw"), counts.astype(np.float64))
    return arrays


def plan(files: list[Path], workers: int, limit: int | None) -> list[Slice]:
    """Cut the files into slices of whole rows, about as many as workers per file."""
    slices: list[Slice] = []
    for path in files[:1] if limit else files:
        with path.open("rb") as file:
            start = len(file.readline())
            size = path.stat().st_size
            if limit:
                stop = start + sum(len(file.readline()) for _ in range(limit))
                return [Slice(path, start, stop, limit)]
            for number in range(workers):
                file.seek(start + (size - start) * (number + 1) // workers - 1)
                file.readline()
                stop = file.tell()
                previous = slices[-1].stop if number else start
                slices.append(Slice(path, previous, stop, MOLECULES))
    return [part for part in slices if part.start < part.stop]


def run_converters(jobs: list[tuple[Slice, Path]], workers: int, report: Report) -> None:
    """Run `convert.py` for every job, `workers` at a time; none outlives this call by more than one line of output."""
    waiting = list(jobs)
    running: list[Converter] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(Converter(*waiting.pop(0)))
            time.sleep(0.02)
            for converter in list(running):
                if converter.follow(report):
                    running.remove(converter)
    finally:
        for converter in running:
            converter.stop()


class Converter:
    """A process that converts one slice: its progress comes through a pipe, its errors go to a file."""

    def __init__(self, part: Slice, out: Path) -> None:
        arguments = [str(part.path), str(part.start), str(part.stop), str(part.rows), str(out)]
        # The process imports nothing of this package; the path is for rdkit and pyarrow outside site-packages.
        path = os.pathsep.join(filter(None, sys.path))
        self.log = out.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", convert.__file__, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
                bufsize=0,
            )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout
        os.set_blocking(self.pipe.fileno(), False)

    def follow(self, report: Report) -> bool:
        """Pass progress on; True when done. A failure is raised with the last line of what the process said of it."""
        code = self.process.poll()  # before reading, so that nothing written before the end is missed
        report(sum(int(line) for line in (self.pipe.read() or b"").split()))
        if code:
            said = self.log.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"Converting QM9 failed: {said[-1] if said else f'exit code {code}'}")
        if code == 0:
            self.stop()
            self.log.unlink()
        return code == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


def pyg_file(root: Path) -> Path:
    """What torch_geometric's `QM9(root)` has prepared.

    Raises:
        UserError: nothing.
    """
    path = root / "processed" / "data_v3.pt"
    if not path.is_file():
        raise UserError(
            f"`--root` must be a folder prepared by torch_geometric's QM9, found no {path}. "
            f"Run `torch_geometric.datasets.QM9('{root}')` once, or use the package qm9pack: {INSTALL}"
        )
    return path


def read_pyg_root(root: Path) -> Arrays:
    """Molecules of a folder in which torch_geometric's `QM9(root)` has been prepared.

    Only `processed/data_v3.pt` is read. `QM9(root)` itself would download again whenever `raw/` is incomplete.
    """
    path = pyg_file(root)
    require("torch_geometric")
    from torch_geometric.io import fs

    stored = fs.torch_load(str(path))
    data = stored[0] if isinstance(stored[0], dict) else stored[0].to_dict()
    slices = stored[1]
    sizes = np.diff(slices["x"].numpy())
    edges = np.diff(slices["edge_index"].numpy())
    return {
        "index": data["idx"].numpy().reshape(-1).astype(np.int32) + 1,
        **from_pyg(data, sizes, edges, f"in {path}"),
        "y": data["y"].numpy().astype(np.float32),
    }


def from_pyg(data: Mapping[str, Any], sizes: NDArray[Any], edges: NDArray[Any], where: str) -> Arrays:
    """Molecules in torch_geometric's form, one after the other, as our arrays without their numbers and targets.

    Args:
        data: `z`, `pos`, `edge_index` (places within each molecule) and `edge_attr`.
        sizes, edges: atoms and edges of each molecule.
        where: they are, for the message.

    Raises:
        UserError: a bond is aromatic.
    """
    i, j = data["edge_index"].numpy()
    order = data["edge_attr"].numpy().argmax(axis=1) + 1
    graph = np.repeat(np.arange(len(sizes)), edges)
    once = i < j  # every bond is stored in both directions
    if order.max(initial=1) > 3:
        raise UserError(f"Bonds {where} must be single, double or triple (Kekule form). Found aromatic ones.")
    return {
        "sizes": sizes.astype(np.uint8),
        "z": data["z"].numpy().astype(np.uint8),
        "pos": data["pos"].numpy().astype(np.float32),
        "n_bonds": np.bincount(graph[once], minlength=len(sizes)).astype(np.uint8),
        "bonds": np.stack([i, j, order], axis=1)[once].astype(np.uint8),
    }
