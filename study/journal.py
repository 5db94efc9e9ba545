"""The journal: every event of a study on local disk before MLflow hears of it, so that nothing is lost.

One JSON line per event in `journal.jsonl`, only ever appended to; `taken.json` beside it says which events each
tracking store has. Together they rebuild every MLflow run and every trial's table.
"""

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from go4align.errors import UserError
from study.events import Event, Kind, StudyRun
from study.home import without_password


class Journal:
    """A study's journal, open for appending by one process at a time.

    Each event is handed to the operating system before `append` returns: it survives a kill -9 of the process (not a
    power cut). What a killed process left of a half-written line is removed on opening.

    Args:
        folder: the study's folder; must exist.

    Raises:
        UserError: another process has the journal open, or the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UserError(f"The journal {self.path} cannot be opened: {error.strerror}.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UserError(
                f"Another process is running the study '{folder.name}'. Wait until it ends, or stop it."
            ) from None
        os.ftruncate(self._file, whole_lines(self.path))
        self.seq, self.runs = 0, dict[str, StudyRun]()
        for offset, event in _events(self.path):
            self._note(event, offset)

    @property
    def newest(self) -> StudyRun | None:
        """The run of the study that was opened last, in whatever store."""
        return next(reversed(self.runs.values()), None)

    def append(self, study_run: str, kind: Kind, trial: str = "", data: dict[str, Any] | None = None) -> Event:
        """Make an event and write it.

        Raises:
            JournalError: it could not be written (a full disk); the journal is left as it was, and the error holds
                the event, which MLflow can still be told.
        """
        event = Event(self.seq + 1, time.time_ns() // 1_000_000, study_run, kind, trial, data or {})
        line = json.dumps(vars(event), separators=(",", ":")).encode() + b"\n"
        try:
            before = os.fstat(self._file).st_size
            self._note(event, before)
            if os.write(self._file, line) < len(line):
                os.ftruncate(self._file, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise JournalError(event, error, self.path) from None
        return event

    def records(self, study_run: str, trial: str) -> list[dict[str, Any]]:
        """The epoch records of a trial, read back from disk in epoch order."""
        found: list[dict[str, Any]] = []
        with self.path.open("rb") as file:
            for epoch, offset in list(self.runs[study_run].epochs.get(trial, {}).items()):
                file.seek(offset)
                with suppress(ValueError, TypeError):
                    event = Event(**json.loads(file.readline()))
                    # Where a full disk kept the record from being written, another event may stand.
                    if (event.study_run, event.trial, event.data.get("epoch")) == (study_run, trial, epoch):
                        found.append(event.data)
        return sorted(found, key=lambda record: int(record["epoch"]))

    def close(self) -> None:
        """Let other processes open it."""
        os.close(self._file)

    def _note(self, event: Event, offset: int) -> None:
        self.seq = event.seq
        self.runs.setdefault(event.study_run, StudyRun(event.study_run)).note(event, offset)


class JournalError(OSError):
    """An event that could not be written."""

    def __init__(self, event: Event, cause: OSError, path: Path) -> None:
        super().__init__(cause.errno, cause.strerror, str(path))
        self.event = event


def read_journal(folder: Path) -> Iterator[Event]:
    """The events in order; a half-written last line, or one that a damaged disk garbled, is left out."""
    path = folder / "journal.jsonl"
    return (event for _, event in _events(path)) if path.exists() else iter(())


def _events(path: Path) -> Iterator[tuple[int, Event]]:
    offset = 0
    with path.open("rb") as lines:
        for line in lines:
            with suppress(ValueError, TypeError):
                yield offset, Event(**json.loads(line))
            offset += len(line)


class Taken:
    """Which events one tracking store has: all through `through`, but those in `skipped`.

    Args:
        folder: the study's folder, whose journal this process has open.
        uri: the tracking store's; only its hash is written, for it may hold a password. Another store has nothing yet.

    Attributes:
        store: the tracking store as "open" events name it.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._store = folder, hashlib.sha256(uri.encode()).hexdigest()[:16]
        self.store = without_password(uri)
        self._stores = _read_mapping(folder / "taken.json")
        entry = self._stores.get(self._store, {})
        self.through: int = entry.get("through", 0)
        self.skipped: set[int] = set(entry.get("skipped", ()))

    def own(self, journal: Journal) -> list[StudyRun]:
        """The runs of the study that were opened for this store, oldest first: no others go there unasked.

        Where an old version's journal does not say, it was this store if that has taken events, or no store has.
        """
        unsaid = self._store in self._stores or not self._stores
        return [run for run in journal.runs.values() if self.store in run.stores or (unsaid and not run.stores)]

    def missing(self, runs: Collection[StudyRun]) -> list[Event]:
        """The events of these runs that the store has not."""
        if not self.skipped and all(run.last_seq <= self.through for run in runs):
            return []  # the usual case, and a long journal takes seconds to read
        ids = {run.id for run in runs}
        return [
            event
            for event in read_journal(self._folder)
            if event.study_run in ids and (event.seq > self.through or event.seq in self.skipped)
        ]

    def owe(self, run: StudyRun) -> None:
        """Note that the store is to be told all of a run that was opened for other stores until now."""
        self.skipped |= {event.seq for event in read_journal(self._folder) if event.study_run == run.id}
        with suppress(OSError):  # a full disk
            self._write()

    def mark(self, events: Collection[Event], *, refused: Collection[int] = ()) -> None:
        """Note that the store has these events, but for the refused ones (by `seq`). Written atomically."""
        seqs = {event.seq for event in events}
        self.through = max(self.through, *seqs)
        self.skipped = (self.skipped - seqs) | (seqs & set(refused))
        self._write()

    def _write(self) -> None:
        self._stores[self._store] = {"through": self.through, "skipped": sorted(self.skipped)}
        partial = self._folder / "taken.json.partial"
        partial.write_text(json.dumps(self._stores), encoding="utf-8")
        partial.replace(self._folder / "taken.json")


def _read_mapping(path: Path) -> dict[str, Any]:
    """A store of which nothing is known is told everything again, which changes nothing: any fault reads as empty."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mapping if isinstance(mapping, dict) else {}


def whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line; looks back from the end, so that long journals open quickly."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
