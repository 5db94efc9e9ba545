"""Benchmarks by name, our own and those of other packages; a benchmark's module is imported when it is built.

Another package registers its class under the entry point group `go4align.benchmarks`; see docs/own-benchmark.md.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, cast

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.own_network import names_own_network, put_network
from go4align.entry_points import EntryPoints
from go4align.errors import UserError, unknown_name

if TYPE_CHECKING:
    from go4align.benchmarks.data import DataSource

_BENCHMARKS = {
    "celeba": "go4align.benchmarks.celeba.benchmark:CelebA",
    "cityscapes": "go4align.benchmarks.cityscapes.benchmark:CityScapes",
    "nyuv2": "go4align.benchmarks.nyuv2.benchmark:NYUv2",
    "qm9": "go4align.benchmarks.qm9:QM9",
    "toy": "go4align.benchmarks.toy:Toy",
}
_OTHERS = EntryPoints("benchmark", "go4align.benchmarks", own=_BENCHMARKS)


def available_benchmarks() -> tuple[str, ...]:
    """The registered names, those of other packages last."""
    return (*_BENCHMARKS, *_OTHERS.names())


def benchmark_class(name: str) -> type[Benchmark]:
    """The class of a benchmark, for what needs no options: its protocol, its small variant.

    Raises:
        UserError: an unknown name (with the nearest known one), one that two packages claim, or a package whose
            benchmark cannot be imported or is none.
    """
    if name not in available_benchmarks():
        raise unknown_name("benchmark", name, available_benchmarks())
    if (entry := _OTHERS.find(name)) is not None:
        return _loaded(entry)
    module, cls = _BENCHMARKS[name].split(":")
    return cast(type[Benchmark], getattr(import_module(module), cls))


def benchmark_options(name: str) -> dict[str, Any]:
    """Option names of a benchmark with their defaults."""
    parameters = inspect.signature(benchmark_class(name)).parameters
    return {key: parameter.default for key, parameter in parameters.items()}


def data_source(name: str) -> DataSource:
    """How the data of a benchmark come onto a machine.

    Raises:
        UserError: an unknown name, or a benchmark whose data nobody has to bring.
    """
    source = benchmark_class(name).data_source()
    if source is None:
        raise UserError(f"The benchmark '{name}' makes its data itself: there is nothing to prepare.")
    return source


def check_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a benchmark does not have; any has a `network` of someone's own.

    Raises:
        UserError: an unknown option, with the nearest known one.
    """
    known = benchmark_options(name)
    for option, value in options.items():
        if option not in known and not (option == "network" and names_own_network(value)):
            raise unknown_name(f"option of the benchmark '{name}'", option, known)


def build_benchmark(name: str, **options: Any) -> Benchmark:
    """Build a benchmark by its registered name.

    Args:
        name: see `available_benchmarks`.
        options: its own, and `network`, which may name a class of someone's own: see `own_network`.

    Raises:
        UserError: an unknown name or option (with the nearest known one), or an option the benchmark refuses.
    """
    check_options(name, options)
    network = options.get("network")
    if not names_own_network(network):
        return _of_package(benchmark_class(name)(**options), name)
    others = {option: value for option, value in options.items() if option != "network"}
    return put_network(_of_package(benchmark_class(name)(**others), name), network)


def _of_package(benchmark: Benchmark, name: str) -> Benchmark:
    """The benchmark, which knows the package and version that it comes from, if that is another one."""
    if provenance := _OTHERS.provenance(name):
        vars(benchmark)["provenance"] = provenance
    return benchmark


def _loaded(entry: EntryPoint) -> type[Benchmark]:
    found = _OTHERS.load(entry, Benchmark)  # type: ignore[type-abstract]
    if found.name != entry.name:
        raise UserError(f"{_OTHERS.told(entry)} must have that name, found `name` = '{found.name}'. Make them equal.")
    return found
