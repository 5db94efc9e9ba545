"""Checks of hyperparameters; each failure says what was required, what was found, and the remedy."""

import sys
from collections.abc import Mapping
from typing import Literal, TypeVar

from go4align.errors import UserError, unknown_name

Value = TypeVar("Value")
GroupCount = int | Literal["auto"]


def whole_number(name: str, found: object, low: int, high: int | None = None, *, otherwise: str = "") -> int:
    """Return `found` if it is an int in [low, high]; `otherwise` names what else would have been accepted."""
    if isinstance(found, int) and not isinstance(found, bool) and low <= found and (high is None or found <= high):
        return found
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise UserError(f"`{name}` must be a whole number {bounds}{otherwise}, found {found!r}.")


def real_number(name: str, found: object, *, above: float | None = None) -> float:
    """Return `found` as a float if it is finite and at least 0 (or greater than `above`)."""
    if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) <= sys.float_info.max:  # noqa: SIM102
        if found >= 0 if above is None else found > above:
            return float(found)
    bounds = "of at least 0" if above is None else f"greater than {above:g}"
    hint = " A text was found: write it without quotes." if isinstance(found, str) else ""
    raise UserError(f"`{name}` must be a finite number {bounds}, found {found!r}.{hint}")


def group_count(found: object, n_tasks: int) -> GroupCount:
    """Return `found` if it is "auto" or a number of groups that `n_tasks` tasks can fill."""
    if found == "auto":
        return "auto"
    return whole_number("n_groups", found, 1, n_tasks, otherwise=' (the number of tasks), or "auto"')


def choice(kind: str, found: object, known: Mapping[str, Value]) -> Value:
    """Return the entry named `found`, or suggest the nearest name."""
    if not isinstance(found, str) or found not in known:
        raise unknown_name(kind, found, known)
    return known[found]
