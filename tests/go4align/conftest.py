"""The device switch: with GO4ALIGN_TEST_DEVICE=cuda, say, all of these tests run there."""

from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from devices import TEST_DEVICE


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
