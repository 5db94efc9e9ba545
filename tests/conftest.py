"""What every test runs under: reproducible hypothesis, one torch thread, none of the user's folders and servers."""

import os

# Before the first import of torch, and inherited by worker processes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# A cluster or a tracking server that this shell points to is not for tests.
for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
    os.environ.pop(name, None)

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=5000, deadline=None, print_blob=True)  # --hypothesis-profile=explore
settings.load_profile("reproducible")
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def go4align_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty `GO4ALIGN_HOME` for the session: one test's caches serve the next, and the user's stay untouched."""
    home = tmp_path_factory.mktemp("go4align-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        yield home
