"""Training data kept on a device give the batches that the host's give."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from go4align.benchmarks import rows
from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.cityscapes.benchmark import CityScapes
from go4align.benchmarks.nyuv2.benchmark import NYUv2
from go4align.benchmarks.rows import Rows

DEVICE = torch.get_default_device()


def batches(benchmark: Benchmark) -> list[list[torch.Tensor]]:
    found = benchmark.batches("train", 5, torch.Generator().manual_seed(3))
    decoded = [batch.to(DEVICE) for batch in found]
    return [[part for part in vars(batch).values() if isinstance(part, torch.Tensor)] for batch in decoded]


@pytest.mark.parametrize("small", [NYUv2.small, CityScapes.small, CelebA.small])
def test_batches_are_the_same_from_wherever_they_come(small: Callable[[], Benchmark]) -> None:
    read, kept = small(), small()
    kept.keep_on(DEVICE)
    for ours, theirs in zip(batches(kept), batches(read), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_data_are_kept_once_and_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(12, dtype=np.uint16).reshape(6, 2) + 40_000
    found = Rows({"depth": array})
    monkeypatch.setattr(rows, "_free", lambda device: 4 * array.nbytes - 1)
    assert not found.keep_on(DEVICE)
    monkeypatch.setattr(rows, "_free", lambda device: 4 * array.nbytes)
    assert found.keep_on(DEVICE)
    array[:] = 0  # what is kept is a copy
    depth = found[np.array([4, 1])]["depth"]
    assert depth.device.type == DEVICE.type
    assert (depth.cpu().int() & 0xFFFF).tolist() == [[40_008, 40_009], [40_002, 40_003]]
    monkeypatch.setattr(rows, "_free", lambda device: 0)
    assert found.keep_on(DEVICE)
