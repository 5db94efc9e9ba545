"""Parts that other packages bring: entry points, each a name and a class, which is imported when it is asked for."""

import inspect
from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from go4align.errors import UserError

Part = TypeVar("Part")


class EntryPoints:
    """The parts of one kind that other packages register.

    Args:
        kind: what messages call such a part.
        groups: the entry point groups that it is registered in.
        own: the names of this project's own parts, which no package can take.
        taken: how no other package's names may begin; "" for anything.
    """

    def __init__(self, kind: str, *groups: str, own: Collection[str], taken: str = "") -> None:
        self.kind = kind
        self.groups = groups
        self.own = own
        self.taken = taken

    def names(self) -> tuple[str, ...]:
        """Of the parts that this project does not have; nothing is imported for it."""
        return tuple(name for name in _claims(self.groups) if not self._is_own(name))

    def find(self, name: str) -> EntryPoint | None:
        """The entry point of a name; None where no other package registers it.

        Raises:
            UserError: this project has the name, too, or two packages register it: which one is meant nobody could say.
        """
        claims = _claims(self.groups).get(name, ())
        if claims and self._is_own(name):
            found = f"that of one of go4align's own {self.kind}s" if name in self.own else f"one in '{self.taken}'"
            raise UserError(
                f"{self.told(claims[0])} must have a name of its own, found {found}. Rename its entry point, or "
                "uninstall the package."
            )
        if len(claims) > 1:
            told = " and ".join(f"{_package(entry)} ({entry.value})" for entry in claims)
            raise UserError(
                f"The {self.kind} '{name}' must be registered once, found it in {told}. Uninstall one of them."
            )
        return claims[0] if claims else None

    def load(self, entry: EntryPoint, base: type[Part]) -> type[Part]:
        """The class of an entry point.

        Raises:
            UserError: it cannot be imported, or is no subclass of `base`.
        """
        try:
            found = entry.load()
        except Exception as error:  # whatever goes wrong in another package's module
            raise UserError(
                f"{self.told(entry)} cannot be imported: {type(error).__name__}: {error}. Mend or reinstall it."
            ) from None
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise UserError(
                f"{self.told(entry)} must be a subclass of go4align.{base.__name__}, found {found!r}. Mend its entry "
                "point."
            )
        return found

    def _is_own(self, name: str) -> bool:
        return name in self.own or bool(self.taken and name.startswith(self.taken))

    def provenance(self, name: object) -> str:
        """The package, and its version, that a part comes from; "" for this project's own and for what is no name."""
        if not isinstance(name, str) or (entry := self.find(name)) is None or entry.dist is None:
            return ""
        return f"{entry.dist.name} {entry.dist.version}"

    def told(self, entry: EntryPoint) -> str:
        """What it is and whose, as messages begin."""
        return f"The {self.kind} '{entry.name}' of the package {_package(entry)} ({entry.value})"


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "?"


@cache
def _claims(groups: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of each name; one and the same class of one package counts once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in sorted((entry for group in groups for entry in entry_points(group=group)), key=lambda e: e.value):
        found.setdefault(entry.name, {})[_package(entry), entry.value] = entry
    return {name: tuple(entries.values()) for name, entries in found.items()}
