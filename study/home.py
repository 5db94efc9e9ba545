"""Where a study's files live, and which MLflow store keeps its runs."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from go4align.benchmarks.home import data_home
from go4align.errors import UserError

_SERVER = ("http", "https")
_DATABASE = ("postgresql", "mysql", "mssql")


def home() -> Path:
    """`$GO4ALIGN_HOME`, by default `~/.go4align`; created when missing.

    A relative path counts from the working directory.

    Raises:
        UserError: it names an unknown user's home, or cannot be created or written to.
    """
    return _writable(data_home().parent)


def study_folder(name: str) -> Path:
    """The folder of a study's journal and checkpoints, `home()/studies/NAME`; created when missing."""
    return _writable(home() / "studies" / name)


def tracking_uri(explicit: str | None = None) -> str:
    """The MLflow store: `explicit`, else `$MLFLOW_TRACKING_URI`, else a SQLite file in `home()`.

    A relative SQLite path is made absolute, so that every later command means the same file.

    Raises:
        UserError: a store that MLflow cannot keep a study in, or whose database driver is missing.
    """
    uri = explicit or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"
    if not unquote(uri).isprintable():
        raise UserError(f"A tracking URI must hold printable characters only, found '{without_password(uri)}'.")
    scheme, host = _scheme_and_host(uri)
    if scheme == "sqlite":
        path = sqlite_path(uri)
        if path is None:
            raise UserError(
                f"The tracking URI '{uri}' names no file, so nothing would be kept. Use `sqlite:///PATH/mlflow.db`."
            )
        return f"sqlite:///{path}"
    if scheme in _SERVER and host:
        return uri.rstrip("/")
    if scheme in _DATABASE:
        _check_driver(uri)
        return uri
    raise UserError(
        f"The tracking URI '{without_password(uri)}' is not one of sqlite:///PATH/mlflow.db, http(s)://HOST:PORT, "
        "postgresql://USER@HOST/DB. MLflow keeps no runs in plain folders any more: use a sqlite:/// path."
    )


def artifact_location(name: str, uri: str) -> str | None:
    """Where a study's artifacts go: a folder in `home()` for databases; None where a server decides."""
    return None if uri.startswith(_SERVER) else (home() / "artifacts" / name).as_uri()


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite URI's file; None for other stores and for SQLite in memory.

    Raises:
        UserError: it is in the home of a user that does not exist.
    """
    if not uri.lower().startswith("sqlite"):
        return None
    path = unquote(uri.partition(":///")[2].partition("?")[0])
    try:
        return Path(path).expanduser().absolute() if path not in {"", ":memory:"} else None
    except RuntimeError:
        raise UserError(f"The home folder in the tracking URI '{uri}' is unknown. Write the path out.") from None


def without_password(text: str) -> str:
    """The text with the password of any URI in it hidden: for messages, tags and files."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)


def _scheme_and_host(uri: str) -> tuple[str, str | None]:
    """The scheme without its driver, in lower case, and the host."""
    try:
        parts = urlsplit(uri)
        scheme = parts.scheme.split("+")[0]
        if scheme in _SERVER:
            parts.port  # noqa: B018 - raises where it is no port
    except ValueError as error:
        raise UserError(f"The tracking URI '{without_password(uri)}' is malformed: {error}.") from None
    return scheme, parts.hostname


def _check_driver(uri: str) -> None:
    needs_psycopg = urlsplit(uri).scheme in {"postgresql", "postgresql+psycopg"}
    if needs_psycopg and find_spec("psycopg") is None:
        raise UserError("A postgresql:// tracking URI needs psycopg 3. Install it with: pip install 'psycopg[binary]'")


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be created: {error.strerror}. {_REMEDY}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"The folder {folder} cannot be written to. {_REMEDY}")
    return folder


_REMEDY = "Set GO4ALIGN_HOME to a folder of yours."
