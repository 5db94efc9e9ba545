"""Benchmarks by name; a benchmark's module is imported when it is built, not before."""

import inspect
from importlib import import_module
from typing import Any, cast

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.data import DataSource
from go4align.errors import UserError, unknown_name

_BENCHMARKS = {
    "celeba": "go4align.benchmarks.celeba.benchmark:CelebA",
    "cityscapes": "go4align.benchmarks.cityscapes.benchmark:CityScapes",
    "nyuv2": "go4align.benchmarks.nyuv2.benchmark:NYUv2",
    "qm9": "go4align.benchmarks.qm9:QM9",
    "toy": "go4align.benchmarks.toy:Toy",
}


def available_benchmarks() -> tuple[str, ...]:
    """The registered names."""
    return tuple(_BENCHMARKS)


def benchmark_class(name: str) -> type[Benchmark]:
    """The class of a benchmark, for what needs no options: its protocol, its small variant.

    Raises:
        UserError: an unknown name (with the nearest known one).
    """
    if name not in _BENCHMARKS:
        raise unknown_name("benchmark", name, _BENCHMARKS)
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


def build_benchmark(name: str, **options: Any) -> Benchmark:
    """Build a benchmark by its registered name.

    Raises:
        UserError: an unknown name or option (with the nearest known one), or an option the benchmark refuses.
    """
    known = benchmark_options(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of the benchmark '{name}'", option, known)
    return benchmark_class(name)(**options)
