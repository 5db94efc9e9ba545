"""What takes seconds to start and is shared: one local Ray, one empty store to copy."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.store.client import connect


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray with one CPU slot, silent, without dashboard and authentication: starting a worker takes longer than training
    all trials of a small study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise a token is written to ~/.ray

        import ray

        ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy: making one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}", create=True)
    return path
