"""The methods by the field's short names: a new one is one file and one line here.

A method's module is imported when it is asked for, not before: listing the names costs no torch. Other packages
register theirs under the entry point groups `go4align.weightings` and `go4align.indicators`; see docs/own-parts.md.
TorchJD's methods are known by `torchjd.NAME`.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from go4align.entry_points import EntryPoints
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
TORCHJD = "torchjd."
"""Before the names of TorchJD's methods, which `_torchjd` knows; it imports torch, so it is asked only of those."""
_METHODS_OF_OTHERS = EntryPoints("method", "go4align.weightings", own=_ALL, taken=TORCHJD)
_INDICATORS_OF_OTHERS = EntryPoints("indicator", "go4align.indicators", "go4align.weightings", own=_ALL, taken=TORCHJD)
_PARTS = {
    "indicator": _INDICATORS_OF_OTHERS,
    "clustering": EntryPoints("clustering", "go4align.groupings", own=()),
}
"""Hyperparameters that name a further part, which may come from another package."""
_NOT_TUNED = ("n_tasks", "task_names")


def available_methods() -> tuple[str, ...]:
    """The methods of this library, and of packages that register theirs, by name; `build_weighting` knows these and
    `torchjd_methods()`."""
    return (*_METHODS, *_METHODS_OF_OTHERS.names())


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
    return name in available_methods() or (name.startswith(TORCHJD) and name in torchjd_methods())


def check_method(name: str, *others: str, kind: str = "method") -> None:
    """Do nothing for a method's name, whosever it is, or one of `others`.

    Raises:
        UserError: an unknown name, of this kind; the nearest one is suggested.
    """
    if name not in others:
        _method(name, *others, kind=kind)


def available_indicators() -> tuple[str, ...]:
    """The names that `GO4Align` knows as indicators; a broken part of another package among them."""
    return tuple(name for name in (*_ALL, *_INDICATORS_OF_OTHERS.names()) if _may_be_indicator(name))


def hyperparameters(name: str) -> Mapping[str, Any]:
    """Return the hyperparameters of a method and their defaults, without building it.

    Raises:
        UserError: an unknown name; the nearest one is suggested.
    """
    return _hyperparameters(_method(name))


def provenance(name: str, options: Mapping[str, Any]) -> str:
    """The packages, with their versions, that a method and what its hyperparameters name come from; "" for ours."""
    found = [_METHODS_OF_OTHERS.provenance(name)]
    if name.startswith(TORCHJD):
        found.append(f"torchjd {version('torchjd')}")
    found += [parts.provenance(options.get(key)) for key, parts in _PARTS.items()]
    return "; ".join(dict.fromkeys(filter(None, found)))


def compares_gradients(name: str) -> bool:
    """Whether a method combines the tasks' gradients, so that weights of losses do not say what it did."""
    from go4align.weighting._engine.gradient_weighting import GradientWeighting

    return issubclass(class_of(name), GradientWeighting)


def class_of(name: str) -> "type[Weighting]":
    """The class that `build_weighting` builds."""
    return _method(name)


def build_weighting(name: str, n_tasks: int, **options: Any) -> "Weighting":
    """Build a method by name.

    Args:
        name: one of `available_methods()` or of `torchjd_methods()`.
        n_tasks: number of tasks M.
        options: its hyperparameters (see `hyperparameters(name)`), and `task_names` for error messages.

    Raises:
        UserError: an unknown method or hyperparameter (the nearest known one is suggested), a value out of range, or a
            method of another package that cannot be imported, or that two packages claim.
    """
    return _build(name, _method(name), n_tasks, options)


def build_indicator(name: str, n_tasks: int, **options: Any) -> "Weighting":
    """Build an indicator by name, one of `available_indicators()`; else as `build_weighting`."""
    if not isinstance(name, str) or name not in available_indicators():
        raise unknown_name("indicator", name, available_indicators())
    return _build(name, _load(name, _INDICATORS_OF_OTHERS), n_tasks, options)


def _build(name: str, method: "type[Weighting]", n_tasks: int, options: Mapping[str, Any]) -> "Weighting":
    if not _takes_names(method):
        raise UserError(
            f"{method.__name__}, the method '{name}', must take `task_names` by name, found no such argument."
        )
    known = (*_hyperparameters(method), "task_names")
    for option in options:
        if option not in known:
            raise unknown_name(f"hyperparameter of '{name}'", option, known)
    return method(n_tasks, **options)


def _takes_names(method: "type[Weighting]") -> bool:
    """Whether the class takes the tasks' names, as every method must."""
    parameters = inspect.signature(method).parameters.values()
    return any(p.name == "task_names" or p.kind is p.VAR_KEYWORD for p in parameters)


def _hyperparameters(method: "type[Weighting]") -> Mapping[str, Any]:
    parameters = inspect.signature(method).parameters.values()
    return MappingProxyType({p.name: p.default for p in parameters if p.name not in _NOT_TUNED})


def _method(name: object, *others: str, kind: str = "method") -> "type[Weighting]":
    if isinstance(name, str) and name.startswith(TORCHJD):
        _METHODS_OF_OTHERS.find(name)  # another package's name for it is refused
        from go4align.weighting._torchjd.classes import method_class

        return method_class(name)
    if isinstance(name, str) and name in available_methods():
        return _load(name, _METHODS_OF_OTHERS)
    if isinstance(name, str) and TORCHJD + name in torchjd_methods():
        raise UserError(f"Unknown {kind} '{name}'. Did you mean '{TORCHJD}{name}'? `study methods` lists all.")
    raise unknown_name(kind, name, (*available_methods(), *others))


def _may_be_indicator(name: str) -> bool:
    try:
        return _load(name, _INDICATORS_OF_OTHERS).is_indicator
    except UserError:
        return True  # is told when it is built


def _load(name: str, others: EntryPoints) -> "type[Weighting]":
    if (entry := others.find(name)) is not None:
        from go4align.weighting._engine.base import Weighting

        return others.load(entry, Weighting)  # type: ignore[type-abstract]
    module, method = _ALL[name].split(":")
    return cast("type[Weighting]", getattr(import_module(f"go4align.weighting.{module}"), method))
