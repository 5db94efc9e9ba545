"""Bad names, stores and files: every command refuses them in one clear line, and leaves everything as it was."""

import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import study_of, trial_of
from spoilt import NAMES, STUDY, assert_clear, with_space
from trackers import opened, run_one

from study import cli
from study.spec.yaml import to_yaml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_space(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tracking store with the study `alpha`, beside a journal of it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        tracker = opened(f"sqlite:///{home}/mlflow.db", study_of("alpha"))
        run_one(tracker, trial_of("ls-0", "ls", origin="default"))
        tracker.close("finished")
        yield home


def contents(home: Path) -> tuple[list[str], list[int]]:
    """What a refused command must leave as it was."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        counts = [database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("runs", "experiments", "tags")]
    return sorted(str(path) for path in home.rglob("*")), counts


def assert_refused(home: Path, *args: str) -> str:
    """Call the console entry point, and return the line that it writes."""
    before, out, err = contents(home), StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["study", *args])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert (ended.value.code, out.getvalue(), err.getvalue().count("\n")) == (2, "", 1), err.getvalue()
    assert_clear(err.getvalue().removesuffix("\n"))
    assert contents(home) == before
    return err.getvalue()


TAKES_A_NAME: dict[str, list[str]] = {
    "run": ["run", "--"],
    "run --methods": ["run", "toy", "--methods"],
    "run --warm-start": ["run", "toy", "--warm-start"],
    "resume": ["resume", "--"],
    "best": ["best", "--"],
    "best --method": ["best", "alpha", "--method"],
    "final": ["final", "--"],
    "train": ["train", "--"],
    "sync": ["sync", "--"],
    "rm": ["rm", "--"],
    "rm --yes": ["rm", "--yes", "--"],
}


@pytest.mark.parametrize("command", TAKES_A_NAME)
def test_a_bad_name_is_refused_by_every_command(command: str, store: Path) -> None:
    known = {"ls", "go4align", "all"} if "--method" in command else set()
    for name in set(NAMES) - known:
        assert_refused(store, *TAKES_A_NAME[command], name)


@settings(max_examples=settings().max_examples // 4)
@given(st.text(max_size=30).filter(lambda text: text != "alpha"))
def test_any_other_name_is_refused(store: Path, text: str) -> None:
    for command in ("best", "sync", "rm --yes"):
        assert_refused(store, *TAKES_A_NAME[command], text)


URIS = [
    "x", "://", "sqlite", "sqlite:", "sqlite:///", "sqlite:////proc/x.db", "sqlite:////dev/zero", "sqlite:////etc/passwd",
    "sqlite:///a\x00b", "sqlite:///a%00b", "sqlite:///\ud800", "sqlite:///.", "sqlite:///~nobody-here/x", "http://",
    "http://\x1b[31m", "http://host:99999", "http://127.0.0.1:²", "http://[", "http://127.0.0.1:1/ b", "ftp://x",
    f"http://{'a' * 300}:1", "http://me:secret@127.0.0.1:1", "mysql://127.0.0.1:1/runs", "file:///etc", "~", "../..",
    "%", "'; drop table runs; --", "x" * 5000, f"sqlite:///{'x' * 5000}", f"sqlite:///{'x/' * 3000}m.db",
    "databricks", " ",
]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [["run", "toy"], ["resume", "alpha"], ["best", "alpha"], ["final", "alpha"], ["ls"], ["rm", "alpha", "--yes"]],
    ids=" ".join,
)
def test_a_bad_store_is_refused_by_every_command(command: list[str], store: Path) -> None:
    for uri in URIS:
        assert "secret" not in assert_refused(store, *command, "--tracking-uri", uri)


BAD_FILES: dict[str, bytes | dict[str, Any]] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "billion laughs": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 121)),
    "command": b"name: !!python/object/apply:os.system ['touch pwned']",
    "terminal escape": b'"\\e[2J": 1',
    "true for a number": {"training": {**STUDY["training"], "epochs": True}},
    "path as name": {"name": "../x"},
    "home of nobody": {"benchmark": {"name": "qm9", "data_dir": "~nobody-here/x"}, "methods": ["ls"], "variants": {}},
    "search space that is no file": {"search_space": "/"},
    "tracking store that is none": {"tracking_uri": "sqlite:///a\0b"},
    "half of what a CPU has": {"resources": {"cpus": 1, "gpus": 1.5}},
}


@pytest.mark.parametrize("command", ["run", "resume", "final", "train"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_by_every_command(command: str, case: str, store: Path, folder: Path) -> None:
    content, path = BAD_FILES[case], folder / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else to_yaml({**STUDY, **content}).encode())
    before = sorted(folder.iterdir())
    assert_refused(store, command, str(path))
    assert sorted(folder.iterdir()) == before


def test_a_process_of_its_own_says_the_same(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: ../x")
    command = [sys.executable, "-c", "from study.cli import main; main()", "run", "bad.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert_clear(done.stderr.removesuffix("\n"))


STUDY_COMMAND = [sys.executable, "-c", "from study.cli import main; main()"]


@pytest.mark.parametrize("command", ["ls", "--help"])
@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
def test_output_that_cannot_be_written_is_one_line(command: str, where: str, store: Path) -> None:
    line = f"{shlex.join(STUDY_COMMAND)} {command} {where}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db", "GO4ALIGN_HOME": str(store)}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("study: The output could not be written: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("where", ["2>&-", ">&- 2>&-", "<&-", "| head -0", "2> /dev/full"])
def test_what_else_may_be_closed_or_full_does_no_harm(where: str, store: Path) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db", "GO4ALIGN_HOME": str(store)}
    for command, expected in (("ls", {0, 1}), ("best nobody", {2})):
        line = f"set -o pipefail; {shlex.join(STUDY_COMMAND)} {command} {where}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode in expected
        assert "Traceback" not in done.stdout + done.stderr and "Exception" not in done.stderr
