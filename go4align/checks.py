"""Checks of hyperparameters; each failure says what was required, what was found, and the remedy."""

import sys
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from go4align.errors import UserError, unknown_name

Value = TypeVar("Value")
GroupCount = int | Literal["auto"]
LARGEST = 2**63 - 1
"""The largest whole number, and seed, that torch takes."""


def whole_number(name: str, found: object, low: int, high: int = LARGEST, *, otherwise: str = "") -> int:
    """Return `found`, Python's or numpy's, as an int in [low, high]; `otherwise` names what else would be accepted."""
    if isinstance(found, Integral) and not isinstance(found, bool) and low <= int(found) <= high:
        return int(found)
    bounds = f"of at least {low}" if high == LARGEST else f"from {low} to {high}"
    raise UserError(f"`{name}` must be a whole number {bounds}{otherwise}, found {found!r}.")


def real_number(name: str, found: object, *, above: float | None = None, high: float = sys.float_info.max) -> float:
    """Return `found`, Python's or numpy's, as a finite float of at least 0 (or above `above`) and at most `high`."""
    if isinstance(found, Real) and not isinstance(found, bool):
        value = int(found) if isinstance(found, Integral) else float(found)  # a huge int is no float
        if value <= high and (value >= 0 if above is None else value > above):
            return float(value)
    bounds = "of at least 0" if above is None else f"greater than {above:g}"
    bounds += f" and at most {high:g}" if high < sys.float_info.max else ""
    hint = " Write it in decimal digits (90, 1.5 or 1e-3), without quotes." if isinstance(found, str) else ""
    raise UserError(f"`{name}` must be a finite number {bounds}, found {found!r}.{hint}")


def group_count(found: object, n_tasks: int) -> GroupCount:
    """Return `found` if it is "auto" or a number of groups that `n_tasks` tasks can fill."""
    if isinstance(found, str) and found == "auto":
        return "auto"
    return whole_number("n_groups", found, 1, n_tasks, otherwise=' (the number of tasks), or "auto"')


def flag(name: str, found: object) -> bool:
    """Return `found` if it is True or False: a text such as "no" would count as true."""
    if isinstance(found, bool):
        return found
    raise UserError(f"`{name}` must be true or false, found {found!r}.")


def mapping(name: str, found: object) -> dict[str, Any]:
    """Return further options by name; None for none."""
    if found is None:
        return {}
    if isinstance(found, Mapping) and all(isinstance(key, str) for key in found):
        return dict(found)
    raise UserError(f"`{name}` must hold keys and values (options by name), found {found!r}.")


def folder(name: str, found: object) -> Path:
    """Return the path of a folder, which need not exist, with `~` and `~user` expanded."""
    try:
        if isinstance(found, str | Path) and str(found) and "\0" not in str(found):
            return Path(found).expanduser()
    except RuntimeError:
        raise UserError(f"The home folder in `{name}` = '{found}' is unknown. Write the path out.") from None
    raise UserError(f"`{name}` must be the path of a folder, found {found!r}.")


def choice(kind: str, found: object, known: Mapping[str, Value]) -> Value:
    """Return the entry named `found`, or suggest the nearest name."""
    if not isinstance(found, str) or found not in known:
        raise unknown_name(kind, found, known)
    return known[found]


def option(kind: str, found: Value, allowed: Any) -> Value:
    """Return `found` if it is one of the names in `allowed`, a `Literal`; else suggest the nearest."""
    choice(kind, found, dict.fromkeys(get_args(allowed)))
    return found
