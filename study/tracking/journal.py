"""The journal: every event of a study on local disk before MLflow hears of it, so that nothing is lost.

One JSON line per event in `journal.jsonl`, only ever appended to, from which every MLflow run and every trial's table
can be rebuilt. Beside it, `taken.json` says which events each tracking store has, and `journal.lock` is held while it
is open.
"""

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from go4align.disk import lock, whole_lines
from go4align.errors import UserError
from study.tracking.events import Event, JournalledRun, Kind


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
        self.folder = folder
        self.path = folder / "journal.jsonl"
        self._lock = lock(folder / "journal.lock")
        try:
            self._lock.acquire(blocking=False)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except Timeout:
            raise UserError(
                f"Another process is running the study '{folder.name}'. Wait until it ends, or stop it."
            ) from None
        except OSError as error:
            self._lock.release()
            raise UserError(f"The journal {self.path} cannot be opened: {error.strerror}.") from None
        os.ftruncate(self._file, whole_lines(self.path))
        self.seq = 0
        self.runs: dict[str, JournalledRun] = {}
        for offset, event in _events(self.path):
            self._note(event, offset)

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
        self._lock.release()

    def _note(self, event: Event, offset: int) -> None:
        self.seq = event.seq
        self.runs.setdefault(event.study_run, JournalledRun(event.study_run)).note(event, offset)


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
