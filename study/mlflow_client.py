"""The way to MLflow: a quiet client of a checked store. MLflow takes seconds to import, so only functions import it."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from go4align.errors import UserError
from study.home import home, sqlite_path, tracking_uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The defaults retry for minutes. Retries are this package's: MLflow's own would repeat a `create_run` whose answer
    # came late, and make a second run.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
_lock = threading.Lock()


class NoStoreError(UserError):
    """There is no tracking store yet where the URI says."""


def connect(uri: str | None = None, *, create: bool = False) -> MlflowClient:
    """A client of a tracking store that answers.

    Args:
        uri: see `study.home.tracking_uri`.
        create: make a SQLite store that does not exist; reading never does.

    Raises:
        NoStoreError: no SQLite file there.
        UserError: a bad URI; a store that does not answer, or that another MLflow version made.
    """
    uri = tracking_uri(uri)
    path = sqlite_path(uri)
    with _lock:
        if path is not None:
            _check_file(path, uri, create=create)
        try:
            _check_port(uri)
            client = _client(uri)
            client.search_experiments(max_results=1)
        except Exception as error:  # MLflow, SQLAlchemy, requests and the drivers each have their own
            raise UserError(_explain(uri, error)) from None
    return client


def quiet() -> None:
    """Import MLflow without its chatter and telemetry; settings that the user made stay."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import mlflow  # noqa: F401 - its import configures logging, which is then turned down

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def pages(search: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    """All results of one of the client's paged searches."""
    token = None
    while True:
        page = search(*args, **kwargs, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def final_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """`TrialResult.metrics` again: `val/...` of the best epoch's model, `test/...` and `epoch_s`."""
    kept = ("best/val/", "test/", "epoch_s")
    return {key.removeprefix("best/"): value for key, value in metrics.items() if key.startswith(kept)}


@lru_cache(maxsize=8)
def _client(uri: str) -> MlflowClient:
    quiet()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _check_port(uri: str) -> None:
    """A closed port is told at once; database drivers and SQLAlchemy's retries take minutes over it."""
    parts = urlsplit(uri)
    port = parts.port or _PORTS.get(parts.scheme.split("+")[0])
    if parts.hostname and port:
        socket.create_connection((parts.hostname, port), timeout=5).close()


def _check_file(path: Path, uri: str, *, create: bool) -> None:
    try:
        exists = path.exists()
    except OSError as error:
        raise UserError(f"The tracking store {path} cannot be opened: {error.strerror}.") from None
    if exists:
        if not _is_store(path):
            raise UserError(f"{path} is not an MLflow database. Check the tracking URI '{uri}'.")
    elif create:
        _create_file(path)
    else:
        raise NoStoreError(
            f"There is no tracking store at {path} yet. Start a study with `study run`, or name another store with "
            "--tracking-uri or MLFLOW_TRACKING_URI."
        )


def _is_store(path: Path) -> bool:
    """Not opened read-only: SQLite could not take back what a process that was killed while writing left half done."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=20)) as database:
            query = "SELECT 1 FROM sqlite_master WHERE name = 'experiments'"
            return database.execute(query).fetchone() is not None
    except sqlite3.Error:
        return False


def _create_file(path: Path) -> None:
    """Make the database beside its place and move it there: a killed process leaves no half-made store."""
    quiet()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_process():
            if path.exists():
                return
            partial.touch()  # where no file can be, SQLAlchemy would try for minutes
            SqlAlchemyStore(f"sqlite:///{partial}", str(home() / "artifacts")).engine.dispose()
            partial.replace(path)
    except Exception as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        cause = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())[:200]
        raise UserError(
            f"The tracking store {path} cannot be created: {cause}. --tracking-uri names another one."
        ) from None


@contextmanager
def _one_process() -> Iterator[None]:
    """Two studies that start at once make the database once."""
    with (home() / "mlflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _explain(uri: str, error: Exception) -> str:
    shown, text = without_password(uri), without_password(str(error))
    if "out-of-date database schema" in text:
        return f"The tracking store {shown} was made by another MLflow version. Upgrade it: mlflow db upgrade {shown}"
    cause = "connection refused" if "refused" in text else text.splitlines()[0][:200] if text else type(error).__name__
    remedy = "Is its server running?" if uri.startswith("http") else "Is the database running, and the URI right?"
    return f"The tracking store {shown} does not answer ({cause}). {remedy} --tracking-uri names another one."
