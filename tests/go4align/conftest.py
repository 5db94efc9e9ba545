"""The device switch: with GO4ALIGN_TEST_DEVICE=cuda, say, all of these tests run there."""

import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from devices import TEST_DEVICE

from go4align.grouping.exact_kmeans import _device_solver
from go4align.weighting.risk_guided import _kernel


def on_device() -> AbstractContextManager[object]:
    """Makes the device torch's default one; nothing where that is the CPU anyway."""
    return nullcontext() if TEST_DEVICE == "cpu" else torch.device(TEST_DEVICE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only a CPU does, and say why."""
    for item in items:
        only = item.get_closest_marker("cpu_only")
        if only is not None and TEST_DEVICE != "cpu":
            item.add_marker(pytest.mark.skip(reason=f"only on a CPU: {only.args[0]}"))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """A test file's own tensors are made when it is collected."""
    with on_device():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    with on_device():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    with on_device():
        return (yield)


@pytest.fixture
def kernels_tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a GPU, whatever the device."""
    for module in ("go4align.grouping.exact_kmeans", "go4align.weighting.risk_guided"):
        monkeypatch.setattr(sys.modules[module], "has_triton", lambda device: True)
    _device_solver.cache_clear()
    _kernel.cache_clear()
    yield
    _device_solver.cache_clear()
    _kernel.cache_clear()
