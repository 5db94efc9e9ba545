"""Hyperparameters from a signature of TorchJD, and from values of a file back to its arguments."""

import inspect
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from go4align.checks import option, real_number, whole_number
from go4align.errors import UserError

SIZES = ("n_tasks", "shape")
"""Parameters that are the number of tasks."""


def parameters(kind: type[Any], defaults: Mapping[str, Any]) -> dict[str, inspect.Parameter]:
    """What a file can say of a class: all but its size, functions and objects, which keep TorchJD's defaults.

    Args:
        kind: of TorchJD.
        defaults: of parameters that have none; those that still have none are None.
    """
    hints = get_type_hints(kind.__init__)
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name not in SIZES and any(_can_be_written(one) for one in _alternatives(hints[name])):
            default = defaults.get(name) if parameter.default is parameter.empty else parameter.default
            found[name] = parameter.replace(default=default, kind=parameter.KEYWORD_ONLY)
    return found


def arguments(kind: type[Any], options: Mapping[str, Any], n_tasks: int) -> dict[str, Any]:
    """The arguments that build a class.

    Args:
        kind: of TorchJD.
        options: a value of every hyperparameter, as a file has it. A vector is a list of M numbers; None is 1/M each
            where TorchJD requires one.
        n_tasks: M.

    Raises:
        UserError: a value of another type.
    """
    hints = get_type_hints(kind.__init__)
    sizes = {name: n_tasks for name in SIZES if name in hints}
    return {name: _argument(name, hints[name], value, n_tasks) for name, value in options.items()} | sizes


def _argument(name: str, hint: Any, found: object, n_tasks: int) -> Any:
    alternatives = _alternatives(hint)
    nothing = " or None" if NoneType in alternatives else ""
    if found is None and nothing:
        return None
    for one in alternatives:
        if get_origin(one) is Literal:
            return option(name, found, one)
    if int in alternatives:
        return whole_number(name, found, 0, otherwise=nothing)
    if float in alternatives:
        return real_number(name, found)
    return (
        torch.full((n_tasks,), 1 / n_tasks, device="cpu").double() if found is None else _vector(name, found, n_tasks)
    )


def _vector(name: str, found: object, n_tasks: int) -> Tensor:
    numbers = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    finite = [float(x) for x in numbers if isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x)]
    if len(finite) != n_tasks or len(numbers) != n_tasks:
        raise UserError(f"`{name}` must be a list of {n_tasks} finite numbers, one per task, found {found!r}.")
    return torch.tensor(finite, dtype=torch.float64, device="cpu")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _can_be_written(hint: Any) -> bool:
    return hint in (int, float, Tensor) or get_origin(hint) is Literal
