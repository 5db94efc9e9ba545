"""The methods by the field's short names: a new one is one file and one line here.

A method's module is imported when it is asked for, not before: listing the names costs no torch.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from go4align.errors import UserError, unknown_name

if TYPE_CHECKING:
    from go4align.weighting._engine.base import Weighting

_METHODS = {
    "go4align": "go4align:GO4Align",
    "ls": "ls:EqualWeighting",
    "si": "si:ScaleInvariant",
    "rlw": "rlw:RandomWeighting",
    "dwa": "dwa:DWA",
    "uw": "uw:UncertaintyWeighting",
    "famo": "famo:FAMO",
    "mgda": "mgda:MGDA",
    "pcgrad": "pcgrad:PCGrad",
    "cagrad": "cagrad:CAGrad",
    "imtl_g": "imtl_g:IMTLG",
    "grad_drop": "grad_drop:GradDrop",
    "nash_mtl": "nash_mtl:NashMTL",
    "static": "static:Static",
    "stl": "stl:SingleTask",
}
_INDICATORS = {"risk_guided": "risk_guided:RiskGuided"}
"""Made to be grouped, and no method of a study: `go4align` with clustering "none" trains with their weights."""
_ALL = {**_INDICATORS, **_METHODS}
_TORCHJD = "torchjd."
"""Before the names of TorchJD's methods, which `_torchjd` knows; it imports torch, so it is asked only of those."""
_NOT_TUNED = ("n_tasks", "task_names")


def available_methods() -> tuple[str, ...]:
    """The methods of this library by name; `build_weighting` knows these and `torchjd_methods()`."""
    return tuple(_METHODS)


def torchjd_methods() -> tuple[str, ...]:
    """The methods that TorchJD computes, `torchjd.NAME`; importing it takes as long as importing torch."""
    from go4align.weighting._torchjd import catalogue

    return tuple(catalogue.PREFIX + name for name in catalogue.methods())


def refused_torchjd_methods() -> Mapping[str, str]:
    """TorchJD's other methods, and what they need that a training step does not give."""
    from go4align.weighting._torchjd import catalogue

    return catalogue.refused()


def is_method(name: str) -> bool:
    """Whether `build_weighting` knows the name."""
    return name in _METHODS or (name.startswith(_TORCHJD) and name in torchjd_methods())


def check_method(name: str, *others: str, kind: str = "method") -> None:
    """Do nothing for a method's name, ours or TorchJD's, or one of `others`.

    Raises:
        UserError: an unknown name, of this kind; the nearest one is suggested.
    """
    if name not in others:
        _method(name, *others, kind=kind)


def available_indicators() -> tuple[str, ...]:
    """The names that `GO4Align` knows as indicators."""
    return tuple(name for name in _ALL if _load(name).is_indicator)


def hyperparameters(name: str) -> Mapping[str, Any]:
    """Return the hyperparameters of a method and their defaults, without building it.

    Raises:
        UserError: an unknown name; the nearest one is suggested.
    """
    return _hyperparameters(_method(name))


def compares_gradients(name: str) -> bool:
    """Whether a method combines the tasks' gradients, so that weights of losses do not say what it did."""
    from go4align.weighting._engine.gradient_weighting import GradientWeighting

    return issubclass(class_of(name), GradientWeighting)


def class_of(name: str) -> type["Weighting"]:
    """The class that `build_weighting` builds."""
    return _load(_method(name))


def build_weighting(name: str, n_tasks: int, **options: Any) -> "Weighting":
    """Build a method by name.

    Args:
        name: one of `available_methods()` or of `torchjd_methods()`.
        n_tasks: number of tasks M.
        options: its hyperparameters (see `hyperparameters(name)`), and `task_names` for error messages.

    Raises:
        UserError: an unknown method or hyperparameter (the nearest known one is suggested), or a value out of range.
    """
    return _build(_method(name), n_tasks, options)


def build_indicator(name: str, n_tasks: int, **options: Any) -> "Weighting":
    """Build an indicator by name, one of `available_indicators()`; else as `build_weighting`."""
    return _build(_known("indicator", name, available_indicators()), n_tasks, options)


def _build(name: str, n_tasks: int, options: Mapping[str, Any]) -> "Weighting":
    known = (*_hyperparameters(name), "task_names")
    for option in options:
        if option not in known:
            raise unknown_name(f"hyperparameter of '{name}'", option, known)
    return _load(name)(n_tasks, **options)


def _hyperparameters(name: str) -> Mapping[str, Any]:
    parameters = inspect.signature(_load(name)).parameters.values()
    return MappingProxyType({p.name: p.default for p in parameters if p.name not in _NOT_TUNED})


def _method(name: object, *others: str, kind: str = "method") -> str:
    if isinstance(name, str) and name.startswith(_TORCHJD):
        _load(name)
        return name
    if isinstance(name, str) and name not in _METHODS and _TORCHJD + name in torchjd_methods():
        raise UserError(f"Unknown {kind} '{name}'. Did you mean '{_TORCHJD}{name}'? `study methods` lists all.")
    return _known(kind, name, (*_METHODS, *others))


def _known(kind: str, name: object, known: Mapping[str, str] | tuple[str, ...]) -> str:
    if not isinstance(name, str) or name not in known:
        raise unknown_name(kind, name, known)
    return name


def _load(name: str) -> type["Weighting"]:
    if name.startswith(_TORCHJD):
        from go4align.weighting._torchjd.classes import method_class

        return method_class(name)
    module, method = _ALL[name].split(":")
    return cast("type[Weighting]", getattr(import_module(f"go4align.weighting.{module}"), method))
