"""What every test runs under: reproducible hypothesis, one torch thread, none of the user's folders and servers."""

import os

# Before the first import of torch, and inherited by worker processes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Kernels run in Triton's interpreter where there is no GPU to compile them for.
if not os.environ.get("GO4ALIGN_TEST_DEVICE", "").startswith("cuda"):
    os.environ["TRITON_INTERPRET"] = "1"
# A cluster or a tracking server that this shell points to is not for tests.
for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
    os.environ.pop(name, None)

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from devices import TEST_DEVICE, why_unusable
from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=5000, deadline=None, print_blob=True)  # --hypothesis-profile=explore
settings.load_profile("reproducible")
torch.set_num_threads(1)


def pytest_configure() -> None:
    """Refuse a device that is not there before any test is collected."""
    reason = why_unusable(TEST_DEVICE)
    if reason:
        raise pytest.UsageError(
            f"GO4ALIGN_TEST_DEVICE must name a device that torch can use here, found '{TEST_DEVICE}': {reason}"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no processor is left with a long one while the other has nothing."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def go4align_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty `GO4ALIGN_HOME` for the session: one test's caches serve the next, and the user's stay untouched."""
    home = tmp_path_factory.mktemp("go4align-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        yield home
