"""The searches that are compared: samplers without stopping, ways to stop with one sampler, trials at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

Options = Mapping[str, Any]
_FIFO = {"name": "fifo"}


@dataclass(frozen=True)
class Variant:
    """One way to search.

    Attributes:
        name: for tables.
        search, scheduler: as in a study file.
        pruner: one of Optuna's in place of the scheduler, see `pruner_of`; or "".
        at_once: trials at a time.
        published_first: whether the first trial is at the published values, as in a study, or drawn at random.
        most: searches, where one takes long; None for as many as are asked for.
    """

    name: str
    search: Options = field(default_factory=dict)
    scheduler: Options = field(default_factory=lambda: _FIFO)
    pruner: str = ""
    at_once: int = 1
    published_first: bool = True
    most: int | None = None


def samplers(search: Options) -> Iterator[Variant]:
    """Every sampler and start; nothing is stopped."""
    yield Variant("random", {"sampler": "random", "start": "random"})
    yield Variant("random, Sobol sequence", {"sampler": "random", "startup": 1000})
    for startup in (3, 5, 10):
        yield Variant(f"TPE, {startup} random trials first", {"startup": startup, "start": "random"})
        yield Variant(f"TPE, {startup} of a Sobol sequence first", {"startup": startup})
    yield Variant("TPE, 5 of a Sobol sequence first, groups", {"group": True})
    yield Variant("CMA-ES, 5 of a Sobol sequence first", {"sampler": "cmaes"})
    yield Variant("grid, 3 levels, in a random order", {"sampler": "grid"})


def gaussian_processes(search: Options) -> Iterator[Variant]:
    """Apart from the others, since each proposal takes seconds."""
    for startup in (5, 10):
        yield Variant(
            f"Gaussian process, {startup} of a Sobol sequence first", {"sampler": "gp", "startup": startup}, most=10
        )


def pruners(search: Options) -> Iterator[Variant]:
    """Every way to stop trials, with one sampler."""
    yield Variant("nothing stopped", search)
    for grace, factor in ((1, 3), (2, 3), (3, 3), (4, 3), (1, 4), (3, 2), (6, 2)):
        yield Variant(f"ASHA, grace {grace}, factor {factor}", search, _asha(grace, factor))
    for pruner in ("halving 1/3", "halving 3/3", "hyperband 1/3", "hyperband 3/3", "median 1", "median 3"):
        yield Variant(f"Optuna's {pruner}", search, pruner=pruner)


def wilcoxon(search: Options) -> Iterator[Variant]:
    """Apart from the other pruners, since each search takes minutes."""
    yield Variant("Optuna's wilcoxon", search, pruner="wilcoxon", most=10)


def chosen(search: Options) -> Iterator[Variant]:
    """Those of the figure: what is easiest, what is offered, and what came near it."""
    yield Variant("random, nothing stopped", {"sampler": "random", "start": "random"})
    yield Variant("random, Sobol sequence, nothing stopped", {"sampler": "random", "startup": 1000})
    yield Variant("TPE, nothing stopped", search)
    yield Variant("TPE, ASHA, grace 1, factor 3", search, _asha(1, 3))
    yield Variant("TPE, ASHA, grace 3, factor 3 (as the demo)", search, _asha(3, 3))
    yield Variant("TPE, Optuna's hyperband 3/3", search, pruner="hyperband 3/3")


def parallel(search: Options) -> Iterator[Variant]:
    """More trials at a time, with and without stopping."""
    for scheduler, told in ((_FIFO, "nothing stopped"), (_asha(3, 3), "ASHA 3/3"), (_asha(1, 3), "ASHA 1/3")):
        for n in (1, 4, 16):
            yield Variant(f"{n} at a time, {told}", search, scheduler, at_once=n)


def starts(search: Options) -> Iterator[Variant]:
    """The first trial at the published values, or anywhere."""
    for scheduler, told in ((_FIFO, "nothing stopped"), (_asha(3, 3), "ASHA 3/3"), (_asha(1, 3), "ASHA 1/3")):
        yield Variant(f"published values first, {told}", search, scheduler)
        yield Variant(f"any values first, {told}", search, scheduler, published_first=False)


COMPARED = {
    "samplers": samplers,
    "gp": gaussian_processes,
    "pruners": pruners,
    "wilcoxon": wilcoxon,
    "parallel": parallel,
    "starts": starts,
    "chosen": chosen,
}


def pruner_of(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """One of Optuna's: halving GRACE/FACTOR, hyperband GRACE/FACTOR, median GRACE, or wilcoxon."""
    kind, _, numbers = name.partition(" ")
    grace, _, factor = numbers.partition("/")
    if kind == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=int(grace), reduction_factor=int(factor))
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(int(grace), epochs, int(factor))
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=int(grace) - 1)
    return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=3)


def _asha(grace: int, factor: int) -> Options:
    return {"name": "asha", "grace_epochs": grace, "reduction_factor": factor}
