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
from go4align.errors import UserError
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

    @property
    def folder(self) -> Path:
        """Where the prepared data are, or will be."""
        return data_home() / self.name

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

    def convert(self, build: Build, *, source: str, again: bool = False) -> Prepared:
        """Prepare the data, once; `again` replaces those that are there. Arguments as of `open_prepared`."""
        return open_prepared(self.folder, build, version=self.version, data_set=self.name, source=source, again=again)
