"""The tracking server is killed, the disk fills up, and the study goes on or says in one line how to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import MlflowServer
from studies import Audit, Sandbox, audit, kill, wait_for

from study import open_study
from study.store.client import connect
from study.store.queries import read_study

SEARCHED = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    server = MlflowServer(folder)
    yield server
    server.kill()


@pytest.mark.slow
def test_a_server_killed_mid_study_loses_nothing(tmp_path: Path, server: MlflowServer, undisturbed: Audit) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    sandbox = Sandbox(folder, server.uri)
    try:
        process = sandbox.start("run", str(sandbox.write()))
        wait_for(lambda: len(sandbox.events("log")) > 60)
        server.kill()
        wait_for(lambda: len(sandbox.events("log")) > 75)
        assert "Training goes on" in sandbox.output
        server.start()
        code = process.wait(480)
        if "events are not in MLflow yet" in sandbox.output:  # it ended before MLflow was back
            assert sandbox.finish("sync", "drill") == 0, sandbox.output
        else:
            assert code == 0, sandbox.output
        assert audit(sandbox, SEARCHED) == undisturbed
    finally:
        sandbox.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line_and_the_study_is_resumed_when_there_is_room(
    tmp_path: Path, small_disk: Path, undisturbed: Audit
) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.write()
    sandbox.home.symlink_to(small_disk)
    try:
        process = sandbox.start("run", "drill.yaml")
        wait_for(lambda: len(sandbox.events("log")) > 60)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        code = process.wait(120)
        assert "Traceback" not in sandbox.output
        assert code == 1 and "No space left on device" in sandbox.output
        assert "study resume drill" in sandbox.output.strip().splitlines()[-1]
        filler.unlink()
        assert sandbox.finish("resume", "drill") == 0, sandbox.output
        assert audit(sandbox, SEARCHED) == undisturbed
    finally:
        sandbox.close()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_starts(sandbox: Sandbox) -> None:
    sandbox.write()
    sandbox.home.write_text("a file, no folder")
    assert sandbox.finish("run", "drill.yaml") == 2
    assert len(sandbox.output.strip().splitlines()) == 1
    assert "GO4ALIGN_HOME" in sandbox.output
    sandbox.home.unlink()
    shutil.rmtree(sandbox.home, ignore_errors=True)


@pytest.mark.slow
def test_a_moved_home_holds_the_same_study(tmp_path: Path, undisturbed: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, moved to a place whose name wants quoting, and gone on with there: nothing is made at the old place."""
    before = Sandbox(tmp_path, names_store=False)
    after = Sandbox(tmp_path, place="moved 100%2F?", names_store=False)
    try:
        process = before.start("run", str(before.write(seeds={"final": [7]})))
        wait_for(lambda: len(before.events("log")) > 60)
        kill(process)
        before.home.rename(after.home)
        assert after.finish("resume", "drill") == 0, after.output
        assert audit(after, SEARCHED) == undisturbed
        assert after.finish("final", "drill") == 0, after.output
        monkeypatch.setenv("GO4ALIGN_HOME", str(after.home))
        found = open_study("drill", after.uri)
        assert set(found.epochs["trial"]) == set(found.trials["trial"])
        parent = read_study(connect(after.uri), "drill").parent.info.run_id
        assert {file.path for file in connect(after.uri).list_artifacts(parent)} >= {"study.yaml", "final.csv"}
        assert not before.home.exists()
        assert str(before.home) not in "".join(path.read_text() for path in after.home.rglob("plan.json"))
    finally:
        after.close()
        before.close()
