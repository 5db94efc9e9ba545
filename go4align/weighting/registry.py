"""The methods by the field's short names. A new method is one file and one line in `methods`."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from go4align.checks import choice
from go4align.errors import unknown_name
from go4align.weighting.base import Weighting
from go4align.weighting.go4align import GO4Align
from go4align.weighting.methods import PLAIN_METHODS

METHODS: dict[str, type[Weighting]] = {"go4align": GO4Align, **PLAIN_METHODS}
_NOT_TUNED = ("n_tasks", "task_names")


def available_methods() -> tuple[str, ...]:
    """The names that `build_weighting` knows."""
    return tuple(METHODS)


def hyperparameters(name: str) -> Mapping[str, Any]:
    """Return the hyperparameters of a method and their defaults, without building it.

    Raises:
        UserError: an unknown name; the nearest one is suggested.
    """
    parameters = inspect.signature(choice("method", name, METHODS)).parameters.values()
    return MappingProxyType({p.name: p.default for p in parameters if p.name not in _NOT_TUNED})


def build_weighting(name: str, n_tasks: int, **options: Any) -> Weighting:
    """Build a method by name.

    Args:
        name: one of `available_methods()`.
        n_tasks: number of tasks M.
        options: its hyperparameters (see `hyperparameters(name)`), and `task_names` for error messages.

    Raises:
        UserError: an unknown method or hyperparameter (the nearest known one is suggested), or a value out of range.
    """
    method = choice("method", name, METHODS)
    known = (*hyperparameters(name), "task_names")
    for option in options:
        if option not in known:
            raise unknown_name(f"hyperparameter of '{name}'", option, known)
    return method(n_tasks, **options)
