"""A pass waits for its device once, at its end: every reading of a number on the host is counted."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.cityscapes.benchmark import CityScapes
from go4align.benchmarks.nyuv2.benchmark import NYUv2
from go4align.benchmarks.toy import Toy

READS = ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "nonzero")


class Counter:
    def __init__(self) -> None:
        self.reads: list[str] = []
        self.on = False

    def watched(self, name: str) -> Any:
        original = getattr(Tensor, name)

        def read(tensor: Tensor, *args: Any, **options: Any) -> Any:
            if self.on:
                self.reads.append(name)
            return original(tensor, *args, **options)

        return read


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    found = Counter()
    for name in READS:
        monkeypatch.setattr(Tensor, name, found.watched(name))
    yield found
    found.on = False


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (NYUv2, {}),
        (NYUv2, {"batch_mean": True}),
        (CityScapes, {}),
        (CelebA, {}),
        (Toy, {}),
    ],
    ids=str,
)
def test_a_pass_reads_once(kind: type[Benchmark], options: dict[str, Any], counter: Counter) -> None:
    benchmark = kind.small()
    benchmark.prepare()
    for key, value in options.items():
        setattr(benchmark, f"_{key}", value)
    model = benchmark.build_model().eval()
    batches = [batch.to(torch.get_default_device()) for batch in benchmark.batches("test", 2)]
    accumulator = benchmark.accumulator()
    with torch.no_grad():
        outputs = [model(batch) for batch in batches]
    counter.on = True
    for found, batch in zip(outputs, batches, strict=True):
        accumulator.update(found, batch)
    assert counter.reads == []
    result = accumulator.compute()
    counter.on = False
    assert len(batches) > 1 and len(counter.reads) == 1, counter.reads
    assert set(result.metrics) == set(benchmark.metrics())
    assert len(result.losses) == benchmark.n_tasks
