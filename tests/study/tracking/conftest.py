"""A store and a tracker of a study for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from trackers import Notices, opened

from study.tracking import JournalTracker


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store in an empty home folder."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def other_uri(uri: str, tmp_path: Path, empty_store: Path) -> str:
    """Another empty store."""
    shutil.copy(empty_store, tmp_path / "other.db")
    return f"sqlite:///{tmp_path}/other.db"


@pytest.fixture
def notices() -> Notices:
    return Notices()


@pytest.fixture
def tracker(uri: str, notices: Notices) -> Iterator[JournalTracker]:
    tracker = opened(uri, notices=notices, space_hash="space")
    yield tracker
    tracker.close("failed", timeout_s=1)
