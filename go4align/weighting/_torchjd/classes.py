"""A class of ours for each of TorchJD's methods, made when it is asked for."""

import inspect
from functools import cache
from typing import Any, cast

from torchjd.aggregation import GramianWeightedAggregator, WeightedAggregator
from torchjd.scalarization import Scalarizer

from go4align.weighting._engine.base import Weighting
from go4align.weighting._torchjd.adapted import Adapted, Method
from go4align.weighting._torchjd.catalogue import PREFIX, facts, known, methods
from go4align.weighting._torchjd.gradients import OfGramian, OfMatrix, OfMatrixByWeights
from go4align.weighting._torchjd.losses import OfLosses, learns
from go4align.weighting._torchjd.options import parameters


@cache
def method_class(name: str) -> type[Weighting]:
    """The method of that name as a class of ours, whose signature has TorchJD's hyperparameters and ours.

    Raises:
        UserError: as of `catalogue.known`.
    """
    short = known(name)
    kind = methods()[short]
    method = Method(PREFIX + short, kind, facts(short))
    adapter = _adapter(kind)
    own = inspect.signature(adapter).parameters
    left_out = {"options"} | ({"seed"} if not method.facts.draws else set())
    left_out |= set() if learns(kind) else {"weights_lr"}
    ours = {key: parameter for key, parameter in own.items() if key not in left_out}
    merged = {"n_tasks": ours.pop("n_tasks"), **parameters(kind, method.facts.defaults), **ours}
    attributes = {
        "method": method,
        "depends_on_order": method.facts.ordered,
        "needs_positive_losses": method.facts.positive,
        "needs_losses_after": issubclass(kind, Scalarizer) and hasattr(kind, "update"),
        "__signature__": inspect.Signature(list(merged.values())),
        "__doc__": kind.__doc__,
        "__module__": __name__,
        "__qualname__": short,  # where pickle looks for it, see `__getattr__`
    }
    return cast("type[Weighting]", type(kind.__name__, (adapter,), attributes))


def __getattr__(name: str) -> type[Weighting]:
    if name in methods():
        return method_class(PREFIX + name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _adapter(kind: type[Any]) -> type[Adapted]:
    if issubclass(kind, Scalarizer):
        return OfLosses
    if issubclass(kind, GramianWeightedAggregator):
        return OfGramian
    return OfMatrixByWeights if issubclass(kind, WeightedAggregator) else OfMatrix
