"""Stores that cannot be made, opened or reached: one line with the cause, and files that are not ours stay."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from go4align.errors import UserError
from study.results import exists, open_study, studies
from study.store.client import NoStoreError, connect


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with the status that the server has."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the names are the base class's

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.status = 401  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_asks_who_one_is(server: HTTPServer, status: int) -> None:
    server.status = status  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=f"HTTP {status}: .* MLFLOW_TRACKING_USERNAME .* MLFLOW_TRACKING_TOKEN"):
        connect(f"http://127.0.0.1:{server.server_port}")


def test_a_server_that_fails_is_asked_after(server: HTTPServer) -> None:
    server.status = 500  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="Is its server running"):
        connect(f"http://127.0.0.1:{server.server_port}")


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_swallows_the_request_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://me:hidden@127.0.0.1:9")
    with pytest.raises(UserError, match=rf"the proxy http://\*\*\*@127.0.0.1:9, which {name} names.*no_proxy=10.1.2.3"):
        connect("http://10.1.2.3:5000")


def test_a_proxy_that_refuses_is_named(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status = 502  # type: ignore[attr-defined]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(UserError, match="which http_proxy names.*no_proxy=tracker.example"):
        connect("http://tracker.example:5000")


def test_no_proxy_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError, match=r"\(connection refused\). Is its server running"):
        connect("http://127.0.0.1:9")


def test_warnings_that_are_errors_do_not_decide_whether_a_store_answers(tmp_path: Path) -> None:
    script = f"""
import warnings
warnings.simplefilter("error")
from study.store.client import connect
connect("sqlite:///{tmp_path}/m.db", create=True)
print(len(connect("sqlite:///{tmp_path}/m.db").search_experiments()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize(
    "path", ["/proc/x/m.db", "/proc/m.db", "{}/file/m.db", "{}/file/deeper/m.db", "{}/closed/m.db", "/" + "x" * 300]
)
def test_a_store_that_cannot_be_made_is_one_line(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir()
    touch = Path.touch

    def refuse(path: Path) -> None:  # root may write everywhere
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        touch(path)

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"The tracking store .* cannot be (created|opened): [A-Z]") as caught:
        connect("sqlite:///" + path.format(tmp_path), create=True)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "closed").iterdir())


def test_reading_makes_no_store_at_a_mistyped_path(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlfow.db"
    for read in (lambda: studies(uri), lambda: open_study("alpha", uri)):
        with pytest.raises(NoStoreError, match=r"There is no tracking store at .*mlfow.db yet"):
            read()
    assert not exists("alpha", uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database", None])
def test_a_file_that_is_no_store_stays_as_it_is(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (x)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(UserError, match="is not an MLflow database"):
        studies(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_store_of_another_mlflow_version(empty_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    shutil.copy(empty_store, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '0'")
    database.close()
    with pytest.raises(UserError, match="made by another MLflow version. Upgrade it: mlflow db upgrade sqlite:///"):
        studies(f"sqlite:///{path}")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg2://me:swordfish@127.0.0.1:9/runs"])
def test_a_store_that_does_not_answer_is_told_at_once(uri: str) -> None:
    with pytest.raises(UserError, match=r"does not answer \(connection refused\)") as caught:
        studies(uri)
    assert "swordfish" not in str(caught.value)
