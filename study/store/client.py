"""The way to MLflow: a quiet client of a checked store. MLflow takes seconds to import, so only functions import it."""

from __future__ import annotations

import logging
import os
import re
import socket
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from go4align.disk import lock, replacing
from go4align.errors import UserError
from study.home import home
from study.store.uri import sqlite_path, sqlite_uri, tracking_uri, without_password

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
_PAGE = 50
"""Results a page: a page of runs with 320 metrics each takes a server on two busy cores 2 s, and a client waits 5 s."""
_lock = threading.Lock()


class NoStoreError(UserError):
    """There is no tracking store yet where the URI says."""


def connect(uri: str | None = None, *, create: bool = False) -> MlflowClient:
    """A client of a tracking store that answers.

    Args:
        uri: see `study.store.uri.tracking_uri`.
        create: make a SQLite store that does not exist; reading never does.

    Raises:
        NoStoreError: no SQLite file there.
        UserError: a bad URI; a store that does not answer, or that another MLflow version made.
    """
    uri = tracking_uri(uri)
    path = sqlite_path(uri)
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # also where they are errors, they do not decide whether a store answers
        if path is not None:
            _check_file(path, uri, create=create)
        try:
            if not _proxy(uri):
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
        page = search(*args, **kwargs, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


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

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(home() / "mlflow.lock"):  # two studies that start at once make it once
            if path.exists():
                return
            with replacing(path) as partial:
                partial.touch()  # where no file can be, SQLAlchemy would try for minutes
                SqlAlchemyStore(sqlite_uri(partial), str(home() / "artifacts")).engine.dispose()
    except Exception as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())[:200]
        raise UserError(
            f"The tracking store {path} cannot be created: {cause}. --tracking-uri names another one."
        ) from None


def _explain(uri: str, error: Exception) -> str:
    shown = without_password(uri)
    text = without_password(str(error))
    if "out-of-date database schema" in text:
        return f"The tracking store {shown} was made by another MLflow version. Upgrade it: mlflow db upgrade {shown}"
    status = re.search(r"\b(?:error code|status code:?|Status:?) (\d{3})\b|\b(\d{3}) (?:Client|Server) Error", text)
    code = int(status[1] or status[2]) if status else 0
    cause = "connection refused" if "refused" in text else text.splitlines()[0][:200] if text else type(error).__name__
    if code in {401, 403}:
        cause = f"HTTP {code}: it wants to know who asks, or refuses this user"
        remedy = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
    elif proxy := _proxy(uri):
        variable, address = proxy
        host = urlsplit(uri).hostname
        remedy = (
            f"The request went to the proxy {without_password(address)}, which {variable} names. If the server is to "
            f"be reached without it: no_proxy={host}."
        )
    else:
        remedy = "Is its server running?" if uri.startswith("http") else "Is the database running, and the URI right?"
    return f"The tracking store {shown} does not answer ({cause}). {remedy} --tracking-uri names another one."


def _proxy(uri: str) -> tuple[str, str] | None:
    """The variable and the address of the proxy that requests to a server go to; None where they go there directly."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    from requests.utils import should_bypass_proxies

    if should_bypass_proxies(uri, no_proxy=None):
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next(((name, os.environ[name]) for name in names if os.environ.get(name)), None)
