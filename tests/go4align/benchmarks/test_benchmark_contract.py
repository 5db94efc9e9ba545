"""Every registered benchmark keeps the public contract, on its small variant; on another device, too."""

from typing import Any

import pytest
import torch
from devices import here

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import available_benchmarks, benchmark_class, benchmark_options, build_benchmark
from go4align.testing import BENCHMARK_CHECKS


@pytest.fixture(scope="module", params=available_benchmarks())
def cls(request: pytest.FixtureRequest) -> type[Benchmark]:
    return benchmark_class(request.param)


@pytest.mark.parametrize("check", BENCHMARK_CHECKS)
def test_contract(cls: type[Benchmark], check: str) -> None:
    BENCHMARK_CHECKS[check](cls)


def test_it_goes_by_its_name_and_names_its_options(cls: type[Benchmark]) -> None:
    assert benchmark_class(cls.name) is cls
    assert type(build_benchmark(cls.name, **benchmark_options(cls.name))) is cls  # every option has a default


@torch.no_grad()
def test_it_is_evaluated_on_the_device_of_the_tests(cls: type[Benchmark]) -> None:
    small = cls.small()
    small.prepare()
    torch.manual_seed(0)
    model: Any = here(small.build_model().eval())
    accumulator = small.accumulator()
    for batch in map(here, small.batches("val", 7)):
        accumulator.update(model(batch), batch)
    found = accumulator.compute()
    assert list(found.metrics) == list(small.metrics())
