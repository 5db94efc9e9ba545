"""The methods by the field's short names. A new method is one file and one line in `methods`."""

from collections.abc import Mapping
from typing import Any

from go4align.weighting.base import Weighting
from go4align.weighting.go4align import GO4Align
from go4align.weighting.methods import PLAIN_METHODS, build, hyperparameters_of

METHODS: dict[str, type[Weighting]] = {"go4align": GO4Align, **PLAIN_METHODS}


def available_methods() -> tuple[str, ...]:
    """The names that `build_weighting` knows."""
    return tuple(METHODS)


def hyperparameters(name: str) -> Mapping[str, Any]:
    """Return the hyperparameters of a method and their defaults, without building it.

    Raises:
        UserError: an unknown name; the nearest one is suggested.
    """
    return hyperparameters_of(METHODS, name)


def build_weighting(name: str, n_tasks: int, **options: Any) -> Weighting:
    """Build a method by name.

    Args:
        name: one of `available_methods()`.
        n_tasks: number of tasks M.
        options: its hyperparameters (see `hyperparameters(name)`), and `task_names` for error messages.

    Raises:
        UserError: an unknown method or hyperparameter (the nearest known one is suggested), or a value out of range.
    """
    return build(METHODS, name, n_tasks, options)
