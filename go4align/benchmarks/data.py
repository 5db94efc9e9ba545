"""The `DataSource` seam: how a benchmark's data come onto a machine, once, and are found again by name.

Where data lie is no part of a configuration: prepared data are in the data home under their benchmark's name, and what
they are is their digest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from go4align.benchmarks.prepared import Build, Prepared, find_prepared, open_prepared
from go4align.errors import UserError, unknown_name
from go4align.home import data_home

if TYPE_CHECKING:
    from go4align.benchmarks.inspection import Inspection


class DataSource(ABC):
    """What `study data NAME` converts, and `study doctor NAME` looks at."""

    name: ClassVar[str]
    """The benchmark's, and the prepared folder's."""
    version: ClassVar[int] = 1
    """Of the prepared arrays: raise it when they or their meaning change, and older folders count as absent."""
    how_to_get: ClassVar[str]
    """One line for whoever has no data: where to get them, which layout is read, and which command prepares them."""

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Readings that the original downloads leave open, by name, the default first: `from_raw` is told one of each."""
    raw_note: ClassVar[str] = ""
    """What is not original in data that `from_raw` prepares; tables repeat it."""

    @property
    def folder(self) -> Path:
        """Where the prepared data are, or will be."""
        return data_home() / self.name

    @property
    def note(self) -> str:
        """What is not original in the prepared data; empty where all is, or where there are none."""
        found = find_prepared(self.folder, self.version)
        return "" if found is None else found.note

    @abstractmethod
    def from_root(self, root: Path) -> Build:
        """What converts a folder in the published layout; looks at it first.

        Raises:
            UserError: it is no such folder.
        """

    def from_raw(self, files: Sequence[Path], choices: Mapping[str, str]) -> Build:
        """What converts the original downloads.

        Raises:
            UserError: they are not the ones, or this benchmark reads none.
        """
        raise UserError(f"{self.name} is read from a folder, found --raw. Give it as --root DIR.")

    def inspect(self, root: Path) -> Inspection:
        """Look at a folder in the published layout before hours are spent on it; never raises for what is in it."""
        raise UserError(f"The data of '{self.name}' have nothing to look at with `study doctor`.")

    def open(self) -> Prepared:
        """The prepared data.

        Raises:
            UserError: there are none, with `how_to_get`.
        """
        found = find_prepared(self.folder, self.version)
        if found is None:
            raise UserError(f"The data of '{self.name}' are not on this machine ({self.folder}). {self.how_to_get}")
        return found

    def prepare(
        self, root: Path | None, raw: Sequence[Path], choose: Sequence[str], *, again: bool = False
    ) -> tuple[Prepared, bool]:
        """Prepare the data from what a command line names, once.

        Args:
            root: a folder in the published layout; None where `raw` is given.
            raw: original downloads; empty where `root` is given.
            choose: readings of those, as "key=value"; others take their defaults.
            again: convert although there are prepared data.

        Returns:
            The data, and whether they were converted now.

        Raises:
            UserError: anything wrong with those.
        """
        if (root is None) == (not raw):
            found = "neither" if root is None else "both"
            raise UserError(f"Either --root or --raw is required, found {found}. {self.how_to_get}")
        chosen = self._chosen(choose, raw)
        paths = [path.expanduser() for path in ([root] if root is not None else raw)]
        source = ", ".join(str(path.resolve()) for path in paths)
        source += "".join(f", {key}={value}" for key, value in chosen.items())
        before = find_prepared(self.folder, self.version)
        if before is not None and not again:
            return before, False
        build = self.from_root(paths[0]) if root is not None else self.from_raw(paths, chosen)
        note = self.raw_note if raw else ""
        return self.convert(build, source=source, note=note, again=again), True

    def _chosen(self, choose: Sequence[str], raw: Sequence[Path]) -> dict[str, str]:
        """A value of every choice, where there is one to make."""
        given = dict(pair.partition("=")[::2] for pair in choose)
        if given and not raw:
            raise UserError("--choose goes with --raw: a published folder leaves nothing open. Remove it.")
        for key, value in given.items():
            if key not in self.choices:
                raise unknown_name(f"reading of {self.name}'s originals", key, self.choices)
            if value not in self.choices[key]:
                raise unknown_name(f"value of --choose {key}", value, self.choices[key])
        return {key: given.get(key, values[0]) for key, values in self.choices.items()} if raw else {}

    def convert(self, build: Build, *, source: str, note: str = "", again: bool = False) -> Prepared:
        """Prepare the data, once; `again` replaces those that are there. Arguments as of `open_prepared`."""
        return open_prepared(
            self.folder, build, version=self.version, data_set=self.name, source=source, note=note, again=again
        )
