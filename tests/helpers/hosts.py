"""Hosts of a cluster on one machine: sshd on loopback addresses, each with processes, home and /tmp/ray of its own."""

import os
import shutil
import signal
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from studies import wait_for

_PROGRAMS = ("sshd", "ssh", "ssh-keygen", "rsync", "ps", "unshare", "mount")


def why_not(addresses: list[str]) -> str | None:
    """Why this machine cannot play these hosts; None where it can."""
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        return f"needs {', '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root, for namespaces and port 22"
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(namespaces, check=False, capture_output=True).returncode:
        return "may not make namespaces"
    for address in addresses:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, 22))
            except OSError as error:
                return f"{address}:22: {error.strerror}"
    return None


@dataclass
class Host:
    """A loopback address that answers to ssh. Processes there see only their own; all files but those of `folder` are
    those of the machine."""

    address: str
    folder: Path
    key: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self, hidden: Path | None = None) -> None:
        """Boot it; `key` may log in as root. A folder that is `hidden` is empty there."""
        home, ray = self.folder / "home", self.folder / "ray"
        for folder in (home / ".ssh", ray, Path("/tmp/ray"), Path("/run/sshd")):
            folder.mkdir(parents=True, exist_ok=True)
        config, passwd = self.folder / "sshd_config", self.folder / "passwd"
        config.write_text(
            textwrap.dedent(f"""\
                ListenAddress {self.address}:22
                HostKey {self.key}
                AuthorizedKeysFile {self.key}.pub
                PermitRootLogin prohibit-password
                StrictModes no
                UsePAM no
                PidFile none
                PrintMotd no
                Subsystem sftp internal-sftp
                """)
        )
        users = Path("/etc/passwd").read_text().splitlines()
        passwd.write_text("".join(f"{_with_home(line, home)}\n" for line in users))
        script = (
            f"mount --bind {passwd} /etc/passwd; mount --bind {ray} /tmp/ray; exec $(command -v sshd) -D -f {config}"
        )
        if hidden is not None:
            script = f"mount -t tmpfs none {hidden}; {script}"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            start_new_session=True,
        )
        wait_for(self._answers, 60)

    def kill(self) -> None:
        """End everything that runs there, as a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)  # --kill-child: the kernel then kills the host's first process
            self.process.wait()
            self.process = None

    def runs(self, program: str) -> bool:
        """Whether a program of this name, or with this title, runs there."""
        return self.process is not None and any(
            program in (process.info["name"] or "") or program in " ".join(process.info["cmdline"] or ())
            for process in _children(self.process.pid)
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


def _children(pid: int) -> Iterator[psutil.Process]:
    """Living descendants, with what a caller wants to know of them."""
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            process.info = process.as_dict(["name", "cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE:
                yield process


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def _with_home(line: str, home: Path) -> str:
    parts = line.split(":")
    return ":".join([*parts[:5], str(home), "/bin/bash"]) if parts[0] == "root" else line


def make_key(folder: Path) -> Path:
    """A throwaway key pair."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key
