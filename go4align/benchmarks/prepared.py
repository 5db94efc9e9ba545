"""Prepared data on disk: a folder of .npy files that every process maps into memory, whole or absent.

A finished folder has a manifest. It is built under a lock, beside its place, and put there in one step.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from go4align.disk import lock, replacing
from go4align.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

Build = Callable[[Path], None]
"""Writes the .npy files into the folder that it is given (`save_array`), and removes whatever else it put there."""

_MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_DIGITS = 16
"""Of a digest: enough to tell data apart, and short enough to be read out."""


@dataclass(frozen=True)
class Prepared:
    """A finished folder.

    Attributes:
        folder: where it is.
        digest: of the names and contents of all arrays: what the data are, wherever they lie.
        source: what they were made from, for people; "" where that goes without saying.
        note: what is not original in them, for people; or empty.
    """

    folder: Path
    digest: str
    source: str = ""
    note: str = ""

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array by its file's name without .npy, memory-mapped and read-only."""
        return {path.stem: np.load(path, mmap_mode="r") for path in sorted(self.folder.glob("*.npy"))}


def open_prepared(
    folder: Path,
    build: Build,
    *,
    version: int,
    data_set: str,
    source: str = "",
    note: str = "",
    again: bool = False,
) -> Prepared:
    """The prepared data in `folder`, built first where they are absent or damaged; safe to call concurrently.

    Args:
        folder: named after the data. Its parent is made where it is missing.
        build: makes the arrays.
        version: of what `build` makes; raise it when arrays or their meaning change, and older folders are rebuilt.
        data_set: its name in messages.
        source: what `build` reads, for people.
        note: what is not original in what it makes, for people.
        again: build them although they are there. Until the new ones are whole, the earlier ones stay.

    Raises:
        UserError: the folder's parent cannot be made or written to.
    """
    found = find_prepared(folder, version)
    if found is not None and not again:
        return found
    with lock(_writable(folder.parent, data_set) / f"{folder.name}.lock"):
        meanwhile = find_prepared(folder, version)  # another process may have built it while this one waited
        if meanwhile is not None and meanwhile != found:
            return meanwhile
        return _build(folder, build, version, {"source": source, "note": note})


def find_prepared(folder: Path, version: int) -> Prepared | None:
    """The finished data of this version in a folder, every file at its full length; None where there are none."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        whole = manifest["version"] == version and all(
            (folder / name).stat().st_size == size for name, size in manifest["bytes"].items()
        )
        told = {key: str(manifest.get(key, "")) for key in ("source", "note")}
        return Prepared(folder, str(manifest["digest"]), **told) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    """Write an array as `name.npy`."""
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array))


@contextmanager
def progress(data_set: str, samples: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr, where rich is installed; elsewhere a line at the start and one at the end.

    Yields a function to call with the number of samples just finished.

    Args:
        data_set: its name.
        samples: what it consists of: "molecules".
        total: how many, None if not known.
    """
    bar = _bar() if sys.stderr.isatty() else None
    if bar is None:
        sys.stderr.write(f"{data_set}: converting {'' if total is None else f'{total:,} '}{samples}, once\n")
        yield lambda count: None
        sys.stderr.write(f"{data_set}: converted\n")
        return
    with bar:
        task = bar.add_task(f"{data_set}: converting {samples}, once", total=total)
        yield lambda count: bar.advance(task, count)


def _bar() -> "Progress | None":
    """None without rich, which comes with the extra `study`."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


def _writable(parent: Path, data_set: str) -> Path:
    """The folder, made where it is missing; one line where that cannot be."""
    remedy = "Name another one with the variable GO4ALIGN_HOME."
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{data_set}'s folder {parent} cannot be made: {error.strerror}. {remedy}") from error
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{data_set}'s folder {parent} must be writable, to hold the converted data. {remedy}")
    return parent


def _build(folder: Path, build: Build, version: int, told: dict[str, str]) -> Prepared:
    """Build the arrays and put the finished folder in place. The caller holds the lock."""
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    with replacing(folder, durable=True) as work:
        work.mkdir()
        build(work)
        digest = _seal(work, version, told)
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or of another version, or to be replaced
    return Prepared(folder, digest, **told)


def _seal(work: Path, version: int, told: Mapping[str, str]) -> str:
    """Write the manifest that makes the folder whole; returns the digest."""
    paths = sorted(work.glob("*.npy"))
    digest = _digest(paths)
    manifest: Mapping[str, Any] = {
        "version": version,
        "digest": digest,
        **told,
        "bytes": {path.name: path.stat().st_size for path in paths},
    }
    (work / _MANIFEST).write_text(json.dumps(manifest))
    return digest


def _digest(paths: list[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()[:_DIGITS]
