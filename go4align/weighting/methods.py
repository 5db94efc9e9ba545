"""The methods that stand on their own. A new one is one file and one line here.

`registry` adds GO4Align, which can take any of these as its indicator.
"""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from go4align.checks import choice
from go4align.errors import unknown_name
from go4align.weighting.base import Weighting
from go4align.weighting.cagrad import CAGrad
from go4align.weighting.dwa import DWA
from go4align.weighting.equal import EqualWeighting
from go4align.weighting.famo import FAMO
from go4align.weighting.grad_drop import GradDrop
from go4align.weighting.imtl_g import IMTLG
from go4align.weighting.mgda import MGDA
from go4align.weighting.nash_mtl import NashMTL
from go4align.weighting.pcgrad import PCGrad
from go4align.weighting.random import RandomWeighting
from go4align.weighting.scale_invariant import ScaleInvariant
from go4align.weighting.single_task import SingleTask
from go4align.weighting.uncertainty import UncertaintyWeighting

PLAIN_METHODS: dict[str, type[Weighting]] = {
    "ls": EqualWeighting,
    "si": ScaleInvariant,
    "rlw": RandomWeighting,
    "dwa": DWA,
    "uw": UncertaintyWeighting,
    "famo": FAMO,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "imtl_g": IMTLG,
    "grad_drop": GradDrop,
    "nash_mtl": NashMTL,
    "stl": SingleTask,
}
_NOT_TUNED = ("n_tasks", "task_names")


def hyperparameters_of(methods: Mapping[str, type[Weighting]], name: str) -> Mapping[str, Any]:
    """The hyperparameters of one of the methods and their defaults."""
    parameters = inspect.signature(choice("method", name, methods)).parameters.values()
    return MappingProxyType({p.name: p.default for p in parameters if p.name not in _NOT_TUNED})


def build(methods: Mapping[str, type[Weighting]], name: str, n_tasks: int, options: Mapping[str, Any]) -> Weighting:
    """Build one of the methods by name; an unknown option suggests the nearest known one."""
    method = choice("method", name, methods)
    known = (*hyperparameters_of(methods, name), "task_names")
    for option in options:
        if option not in known:
            raise unknown_name(f"hyperparameter of '{name}'", option, known)
    return method(n_tasks, **options)
