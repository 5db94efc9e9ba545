"""Servers on this machine's loopback: MLflow, and the PostgreSQL that one keeps its runs in."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studies import wait_for


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """A real `mlflow server`, started at once.

    Args:
        folder: takes the artifacts and the server's output.
        store: where it keeps runs; default a SQLite file in the folder.
    """

    def __init__(self, folder: Path, store: str = "") -> None:
        self._folder, self._store = folder, store or f"sqlite:///{folder}/server.db"
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.artifacts = folder / "served"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", self._store]
        command += ["--artifacts-destination", str(self.artifacts)]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
        with (self._folder / "server.txt").open("a") as output:
            self._process = subprocess.Popen(
                command, env=environment, start_new_session=True, stdout=output, stderr=output
            )
        wait_for(self.answers)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def why_no_postgres() -> str | None:
    """Why this machine cannot run PostgreSQL; None where it can."""
    if find_spec("psycopg") is None:
        return "needs psycopg"
    if _postgres_folder() is None:
        return "needs PostgreSQL (Debian's package postgresql)"
    return None


def _postgres_folder() -> Path | None:
    """Where the newest PostgreSQL's programs are; Debian keeps them off the PATH."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda path: int(path.parts[-3]), default=None) or shutil.which("initdb")
    return Path(newest).parent if newest else None


@dataclass
class Postgres:
    """A PostgreSQL server with an empty database, for as long as it is wanted.

    It refuses to run as root, who lends it another user's name and a folder of that user's.
    """

    folder: Path = field(init=False)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, for a socket; pytest's own are root's alone
        self._programs = _postgres_folder() or Path()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = next(entry for entry in pwd.getpwall() if entry.pw_name in {"postgres", "nobody"})
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run("initdb", "--username=mlflow", "--auth=trust", "--no-sync", "--encoding=UTF8", "-D", "data").wait()
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}"]
        settings += ["fsync=off", "dynamic_shared_memory_type=mmap"]
        self._server = self._run("postgres", "-D", "data", *(part for each in settings for part in ("-c", each)))
        wait_for(lambda: self._ready() or self._server.poll() is not None, 60)
        if self._server.poll() is not None:
            raise RuntimeError((self.folder / "output.txt").read_text())

    def stop(self) -> None:
        """At once, and nothing of it is left."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        return self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port)).wait() == 0

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [str(self._programs / program), *arguments],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._user,
            )
