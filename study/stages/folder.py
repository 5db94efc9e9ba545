"""What this machine has of a study that is to go: its folder, in parts, and its removal while nobody runs it."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import Timeout

from go4align.disk import lock
from go4align.errors import UserError
from go4align.home import home_folder
from study.store.uri import uri_of
from study.tracking.journal import read_journal

_JOURNAL = ("journal.jsonl", "taken.json")
"""In the order they go: events of which nothing says that MLflow has them would be told to it again."""
_LOCK = "journal.lock"
_BULKY = ("checkpoints", "networks", "ray")


class Size(NamedTuple):
    """What files take."""

    files: int
    bytes: int

    def __str__(self) -> str:
        unit, divisor = ("MiB", 2**20) if self.bytes >= 2**20 else ("KiB", 2**10)
        return f"{self.files} file{'s' * (self.files != 1)}, {self.bytes / divisor:.1f} {unit}"


def size_of(paths: Iterable[Path]) -> Size:
    """Of files, and of folders with all that is in them; what vanishes meanwhile takes nothing."""
    sizes: list[int] = []
    for path in paths:
        inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        for file in inside if path.is_dir() else [path]:
            with suppress(OSError):
                sizes.append(file.lstat().st_size)
    return Size(len(sizes), sum(sizes))


@dataclass(frozen=True)
class StudyFolder:
    """The folder `studies/NAME`, which need not be whole: nothing in it must be readable.

    Attributes:
        path: the folder.
        stores: the tracking store that each run of the study is kept in, without its password.
        copies: stores that were brought a copy of all of it.
    """

    path: Path
    stores: dict[str, str]
    copies: frozenset[str]

    def runs(self, store: str | None = None) -> list[Path]:
        """The folders of the runs; only those that are kept in one store."""
        found = [path for path in self.path.iterdir() if path.is_dir()]
        return sorted(path for path in found if store is None or self.stores.get(path.name) == store)

    def sizes(self, runs: list[Path], *, whole: bool) -> dict[str, Size]:
        """What goes with these runs, by what it is; with the whole folder the journal, too."""
        bulky = [path for run in runs for path in run.iterdir() if path.name in _BULKY]
        plans = [path for run in runs for path in run.iterdir() if path.name not in _BULKY]
        journal = [path for path in self.path.iterdir() if path not in runs and path.name != _LOCK] if whole else []
        parts = {"journal": journal, "search and plan": plans, "checkpoints": bulky}
        return {what: size_of(paths) for what, paths in parts.items()}

    def remove(self, runs: list[Path], *, whole: bool) -> None:
        """Remove the folders of these runs; the whole folder where all of it goes, its lock last.

        Raises:
            OSError: something cannot be removed.
        """
        for run in runs:
            remove_path(run)
        if not whole:
            return
        last = {name: number for number, name in enumerate(_JOURNAL, 1)}
        for path in sorted(self.path.iterdir(), key=lambda path: last.get(path.name, 0)):
            if path.name != _LOCK:
                remove_path(path)
        (self.path / _LOCK).unlink(missing_ok=True)
        self.path.unlink() if self.path.is_symlink() else self.path.rmdir()


def find_folder(name: str) -> StudyFolder | None:
    """The folder of a study on this machine; None where it has none. Reads only."""
    path = home_folder() / "studies" / name
    if not path.is_dir():
        return None
    opened = (event for event in read_journal(path) if event.kind == "open" and isinstance(event.data, dict))
    stores = {event.study_run: event.data.get("store") for event in opened}
    for plan in path.glob("*/plan.json"):
        stores.setdefault(plan.parent.name, _mapping(plan).get("store"))
    known = {run: uri_of(store) for run, store in stores.items() if isinstance(store, str)}
    return StudyFolder(path, known, frozenset(map(uri_of, _mapping(path / "taken.json"))) - set(known.values()))


@contextmanager
def alone(name: str, *, writes: bool) -> Iterator[None]:
    """Nobody runs the study on this machine meanwhile; where nothing is written, no lock is made to see that.

    Raises:
        UserError: somebody does.
    """
    path = home_folder() / "studies" / name / _LOCK
    if not path.parent.is_dir() or not (writes or path.exists()):
        yield
        return
    held = lock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise UserError(f"Another process is running the study '{name}'. Wait until it ends, or stop it.") from None
    except OSError as error:
        raise UserError(f"The lock {path} cannot be opened: {error.strerror}.") from None
    try:
        yield
    finally:
        held.release()


def remove_path(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; a link alone.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mapping(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; any fault reads as empty."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
