"""A choice among registered classes, as a study file writes it: `cosine`, or `{name: step, every: 100}`."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from go4align.benchmarks.protocol import Choice
from go4align.checks import choice
from go4align.errors import UserError, unknown_name

Chosen = TypeVar("Chosen")


def chosen(kind: str, found: object, known: Mapping[str, type[Chosen]]) -> Chosen:
    """Build what `found` names.

    Args:
        kind: what is chosen, for error messages: "schedule".
        found: a name, or a mapping of `name` and options.
        known: dataclasses by name; their fields are the options, all with a default.

    Raises:
        UserError: an unknown name or option (the nearest known one is suggested), or a value out of range.
    """
    name, options = _parts(kind, found)
    cls = choice(kind, name, known)
    allowed = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # every registered class is a dataclass
    for option in options:
        if not allowed:
            raise UserError(f"The {kind} '{name}' has no options, found '{option}'. Remove it.")
        if option not in allowed:
            raise unknown_name(f"option of the {kind} '{name}'", option, allowed)
    return cls(**options)


def written(kind: str, found: object, known: Mapping[str, type[Chosen]]) -> Choice:
    """The one way to write a choice, whatever way it was found in: its name where every option is at its default, else
    its name and every option. Arguments and errors are those of `chosen`."""
    built = chosen(kind, found, known)
    name, _ = _parts(kind, found)
    return name if built == type(built)() else {"name": name, **asdict(built)}  # type: ignore[call-overload]


def _parts(kind: str, found: object) -> tuple[str, dict[str, Any]]:
    if not isinstance(found, Mapping):
        return found, {}  # type: ignore[return-value]  # `choice` refuses what is no name
    options = dict(found)
    if "name" not in options:
        raise UserError(f"`{kind}` must be a name, or hold `name` and options, found no `name` in {dict(found)!r}.")
    return options.pop("name"), options
