"""Which of a study's events a tracking store has."""

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from go4align.disk import write_whole
from study.store.uri import store_name
from study.tracking.events import Event, JournalledRun
from study.tracking.journal import Journal, read_journal


class Ledger:
    """What one tracking store has of each run of the study: all through some event, but those that it refused.

    A run is kept in one store, that of its newest session; runs of one study may be kept in different ones. A run that
    comes to another store (a server that moved) is told there from its beginning.

    Args:
        folder: the study's folder, whose journal this process has open.
        uri: the tracking store's.

    Attributes:
        store: the tracking store as "open" events name it.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.store = store_name(uri)
        self._folder = folder
        self._path = folder / "taken.json"
        self._stores = _read_mapping(self._path)
        self._taken: dict[str, dict[str, Any]] = self._stores.setdefault(self.store, {})

    def own(self, journal: Journal) -> list[JournalledRun]:
        """The runs of the study that are kept in this store, oldest first: no others go there unasked.

        One whose beginning is missing from a damaged journal goes to any, which then refuses it, so that it is told.
        """
        return [run for run in journal.runs.values() if run.store in {self.store, None}]

    def missing(self, runs: Collection[JournalledRun]) -> list[Event]:
        """The events of these runs that the store has not."""
        lacking = {run.id for run in runs if run.last_seq > self._through(run.id) or self._refused(run.id)}
        if not lacking:
            return []  # the usual case, and a long journal takes seconds to read
        return [event for event in read_journal(self._folder) if event.study_run in lacking and not self._has(event)]

    def mark(self, events: Collection[Event], *, refused: Collection[int] = ()) -> None:
        """Note that the store has these events, but for the refused ones (by `seq`).

        Raises:
            OSError: the disk is full; what was noted before stands.
        """
        for study_run in {event.study_run for event in events}:
            told = {event.seq for event in events if event.study_run == study_run}
            self._taken[study_run] = {
                "through": max(self._through(study_run), *told),
                "refused": sorted((self._refused(study_run) - told) | (told & set(refused))),
            }
        write_whole(self._path, json.dumps(self._stores))

    def _through(self, study_run: str) -> int:
        return int(self._taken[study_run]["through"]) if study_run in self._taken else 0

    def _refused(self, study_run: str) -> set[int]:
        return set(self._taken[study_run]["refused"]) if study_run in self._taken else set()

    def _has(self, event: Event) -> bool:
        return event.seq <= self._through(event.study_run) and event.seq not in self._refused(event.study_run)


def _read_mapping(path: Path) -> dict[str, Any]:
    """A store of which nothing is known is told everything again, which changes nothing: any fault reads as empty."""
    with suppress(OSError, ValueError):
        mapping = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(mapping, dict):
            return mapping
    return {}
