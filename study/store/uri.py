"""Which MLflow store keeps a study's runs: resolved once, what it hides never shown."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from go4align.errors import UserError
from go4align.home import home_folder
from study.home import home

HOME_SCHEME = "go4align-home"
"""Of a store that lies in the home folder, named by its place there, so that the folder can be moved."""
ARTIFACT_SCHEME = "go4align-store"
"""Of artifacts that lie beside a SQLite file in the home folder, named by their place there."""

_SERVER = ("http", "https")
_DATABASE = ("postgresql", "mysql", "mssql")
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://(?!/)"
"""What a URI with an authority begins with; a file's has none."""
_secrets: set[str] = set()
"""Users, passwords and tokens of the stores that this process was given."""


def tracking_uri(explicit: str | None = None) -> str:
    """The MLflow store: `explicit`, else `$MLFLOW_TRACKING_URI`, else a SQLite file in the home folder.

    Nothing is made here: who only reads a store needs no folder that can be written to.

    A relative SQLite path is made absolute, so that every later command means the same file.

    Raises:
        UserError: a store that MLflow cannot keep a study in, or whose database driver is missing.
    """
    uri = explicit or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(home_folder() / "mlflow.db")
    _remember(uri)
    if not unquote(uri).isprintable():
        raise UserError(f"A tracking URI must hold printable characters only, found '{without_password(uri)}'.")
    _check_quoted(uri)
    scheme, host = _scheme_and_host(uri)
    if scheme == "sqlite":
        path = sqlite_path(uri)
        if path is None:
            raise UserError(
                f"The tracking URI '{uri}' names no file, so nothing would be kept. Use `sqlite:///PATH/mlflow.db`."
            )
        return sqlite_uri(path)
    if scheme in _SERVER and host:
        return uri.rstrip("/")
    if scheme in _DATABASE:
        _check_driver(uri)
        return uri
    shown = without_password(uri)
    if "@" in shown and "://***@" not in shown:  # no scheme says where a user's name begins
        shown = f"***@{shown.rpartition('@')[2]}"
    raise UserError(
        f"The tracking URI '{shown}' is not one of sqlite:///PATH/mlflow.db, http(s)://HOST:PORT, "
        "postgresql://USER@HOST/DB. MLflow keeps no runs in plain folders any more: use a sqlite:/// path."
    )


def artifact_location(name: str, uri: str) -> str | None:
    """Where a study's artifacts go: a folder in `home()` for databases; None where a server decides.

    For a database that lies in the home itself the folder is beside it, and named so (`study.store.artifacts`).
    """
    if uri.startswith(_SERVER):
        return None
    if _place_in_home(uri) is not None:
        return f"{ARTIFACT_SCHEME}:/artifacts/{quote(name)}"
    return (home() / "artifacts" / name).as_uri()


def artifact_path(artifacts: str, uri: str) -> Path | None:
    """Where the artifacts of the store `uri` lie on this machine; None for what is kept elsewhere."""
    parts = urlsplit(artifacts)
    path = unquote(parts.path)
    if parts.scheme == ARTIFACT_SCHEME:
        store = sqlite_path(uri)
        return (store.parent if store else home_folder()) / path.lstrip("/")
    return Path(path) if parts.scheme in {"file", ""} else None


def store_name(uri: str) -> str:
    """What files on this machine call a store: without what it hides, and a database in the home by its place there.

    Undone by `uri_of`, but for what was hidden.
    """
    place = _place_in_home(uri)
    return without_password(uri) if place is None else f"{HOME_SCHEME}:/{place}"


def uri_of(name: str) -> str:
    """The tracking URI that `store_name` was given."""
    if not name.startswith(f"{HOME_SCHEME}:/"):
        return name
    return sqlite_uri(home_folder() / name.removeprefix(f"{HOME_SCHEME}:/"))


def _place_in_home(uri: str) -> str | None:
    """Where in the home folder a SQLite file lies, with slashes; None for what lies elsewhere."""
    path = sqlite_path(uri)
    place = path.resolve() if path else Path("/")
    base = home_folder().resolve()
    return place.relative_to(base).as_posix() if place.is_relative_to(base) else None


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite file, whatever its path holds; undone by `sqlite_path`."""
    from sqlalchemy.engine import URL

    uri = URL.create("sqlite", database=str(path)).render_as_string()
    if "%" in uri:
        # Of a plain `sqlite:///` MLflow makes the folder without undoing the quotes, beside the right one.
        return uri.replace("sqlite:", "sqlite+pysqlite:", 1)
    return uri


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite URI's file; None for other stores and for SQLite in memory.

    Raises:
        UserError: it is malformed, or in the home of a user that does not exist.
    """
    if not uri.lower().startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        path = make_url(uri).database
        return Path(path).expanduser().absolute() if path not in {None, "", ":memory:"} else None
    except ArgumentError:
        raise UserError(f"The tracking URI '{uri}' is malformed. Write it as sqlite:///PATH/mlflow.db.") from None
    except RuntimeError:
        raise UserError(f"The home folder in the tracking URI '{uri}' is unknown. Write the path out.") from None


def without_password(text: str) -> str:
    """The text with what any URI in it hides replaced by `***`: for messages, tags and files.

    Hidden is everything between a URI's scheme and the last `@` of its authority, where a token may stand for a user
    and a password may hold `@`, `/`, `?` and spaces, and the value of a query's `password` or `token`. So of a text
    that is a URI as a whole, and of a quoted one, nothing up to the last `@` is shown; in running text a URI ends at a
    space, but for those that this process was given, which are known.
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(f"://{secret}@", "://***@")
    text = re.sub(rf"\A({_SCHEME})[^\n]*@", r"\1***@", text)
    text = re.sub(rf"""(["'])({_SCHEME})(?:(?!\1)[^\n])*@""", r"\1\2***@", text)
    text = re.sub(rf"({_SCHEME})[^\s\"'<>]*@", r"\1***@", text)
    return re.sub(r"([?&](?:\w*password|\w*token|pwd|secret)=)[^&\s\"']*", r"\1***", text, flags=re.IGNORECASE)


def _remember(uri: str) -> None:
    found = re.match(rf"{_SCHEME}(.*)@", uri, flags=re.DOTALL)
    if found:
        _secrets.update({found[1], unquote(found[1])} - {"", "***"})


def _check_quoted(uri: str) -> None:
    """Refuse what ends an authority within a password: clients would take the password's beginning for a host's port,
    and say so."""
    secret = re.match(rf"{_SCHEME}(.*)@", uri, flags=re.DOTALL)
    if secret and (found := re.search(r"[/?#]", secret[1])):
        raise UserError(
            f"User and password in the tracking URI '{without_password(uri)}' must be quoted: write {found[0]} as "
            f"{quote(found[0], safe='')}."
        )


def hides_password(text: str) -> bool:
    """Whether `without_password` has hidden one."""
    return "://***@" in text or "=***" in text


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
