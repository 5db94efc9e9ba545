"""The names of TorchJD's methods, and the facts of each that its code does not state."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from torchjd import aggregation, scalarization

from go4align.errors import UserError, unknown_name

PREFIX = "torchjd."


class Facts(NamedTuple):
    """What has to be known of a method beside its signature.

    Attributes:
        defaults: of parameters that TorchJD gives none: the papers' or their official code's.
        draws: whether it draws random numbers.
        ordered: whether tasks in another order get other weights.
        positive: whether a negative loss is an error.
        waits: whether it looks at values of losses, which stops a GPU's host at every step.
    """

    defaults: Mapping[str, Any] = {}
    draws: bool = False
    ordered: bool = False
    positive: bool = False
    waits: bool = False


_FACTS = {
    "cagrad": Facts({"c": 0.4}),  # official code on NYUv2, as our own
    "cosmos": Facts({"lambda_": 2.0}),  # official code; from 0.01 to 8 by data set
    "fairgrad": Facts({"alpha": 1.0}),  # LibMTL; the official scripts take 2 on QM9
    "famo": Facts(positive=True),
    "geometric_mean": Facts(positive=True, waits=True),
    "graddrop": Facts(draws=True),
    "gradvac": Facts(draws=True, ordered=True),
    "krum": Facts({"n_byzantine": 0}),  # no task is an adversary
    "pbi": Facts({"theta": 5.0}),  # the paper
    "pcd": Facts(ordered=True),  # the first task is the primary one
    "pcgrad": Facts(draws=True, ordered=True),
    "random": Facts(draws=True, ordered=True),
    "stch": Facts({"mu": 1.0}),  # LibMTL; the paper takes 0.01 to 1
    "trimmed_mean": Facts({"trim_number": 1}),  # the smallest that trims anything
}
_TWO_BATCHES = "needs the gradients of two independent batches in every step, and a training step has one"
_REFUSED = {
    "cr_mogm": "smooths the weights of another TorchJD weighting, and a method here is one by itself",
    "modo": _TWO_BATCHES,
    "sdmgrad": _TWO_BATCHES,
}


def facts(name: str) -> Facts:
    """Of a method, without the prefix."""
    return _FACTS.get(name, Facts())


@cache
def methods() -> Mapping[str, type[Any]]:
    """TorchJD's public classes by name, without the prefix: the file that a class is in.

    Four names stand for a scalarizer and an aggregator that make the same step: constant, mean, random and sum. They
    are the scalarizers, which take one backward pass for all tasks.
    """
    found: dict[str, type[Any]] = {}
    for package, base in ((aggregation, aggregation.Aggregator), (scalarization, scalarization.Scalarizer)):
        public = [getattr(package, name) for name in package.__all__]
        kinds = [one for one in public if issubclass(one, base)]
        ends = [one for one in kinds if not any(other is not one and issubclass(other, one) for other in kinds)]
        found |= {name_of(one): one for one in ends}
    return dict(sorted(found.items()))


def name_of(kind: type[Any]) -> str:
    """As TorchJD calls the file of a class: `torchjd.aggregation._aligned_mtl` is aligned_mtl."""
    return kind.__module__.rpartition(".")[2].lstrip("_")


def refused() -> Mapping[str, str]:
    """Names of TorchJD, with the prefix, that are no methods here, and why."""
    return {PREFIX + name: reason for name, reason in _REFUSED.items()}


def known(name: str) -> str:
    """The name without its prefix.

    Raises:
        UserError: TorchJD has no such method (the nearest is suggested), or a training step cannot give what it needs.
    """
    short = name.removeprefix(PREFIX)
    if short in _REFUSED:
        raise UserError(f"'{name}' is no method here: it {_REFUSED[short]}. `study methods` lists those that are.")
    if short not in methods():
        raise unknown_name("method", name, [PREFIX + one for one in methods()])
    return short
