"""Files are whole or absent whatever stops their writing, and a lock goes when its process does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout
from hypothesis import given
from hypothesis import strategies as st

from go4align.disk import lock, replacing, whole_lines, write_whole


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_whole(durable: bool, tmp_path: Path) -> None:
    for content in ("first", b"\x00second"):
        write_whole(tmp_path / "file", content, durable=durable)
        assert (tmp_path / "file").read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_folder_takes_its_place_with_all_that_is_in_it(durable: bool, tmp_path: Path) -> None:
    with replacing(tmp_path / "data", durable=durable) as partial:
        (partial / "deep").mkdir(parents=True)
        (partial / "deep" / "file").write_text("x")
        assert not (tmp_path / "data").exists()
    assert (tmp_path / "data" / "deep" / "file").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_was_there_stays_when_writing_fails(error: BaseException, tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "file") as partial:
            partial.write_text("half")
            raise error

    write_whole(tmp_path / "file", "before")
    with pytest.raises(type(error)):
        fail()
    assert (tmp_path / "file").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_of_the_same_number_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / f".data.{os.getpid()}.partial"
    left.mkdir()
    (left / "garbage").write_text("x")
    write_whole(tmp_path / "data", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


WRITER = """
import sys
from pathlib import Path
from go4align.disk import write_whole
for n in range(10**6):
    write_whole(Path(sys.argv[1]), str(n % 10) * 200_000)
    print(n, flush=True)
"""


def test_a_file_is_whole_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    content = path.read_text()
    assert (len(content), len(set(content))) == (200_000, 1)


HOLDER = """
import sys
from pathlib import Path
from go4align.disk import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_by_one_process_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Timeout):
            lock(path).acquire(blocking=False)
        os.kill(process.pid, signal.SIGKILL)
    with lock(path), pytest.raises(Timeout):
        lock(path).acquire(blocking=False)  # nor does this process hold it twice


@given(content=st.binary(max_size=50), block=st.integers(1, 8))
def test_whole_lines_end_after_the_last_newline(
    content: bytes, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("go4align.disk._BLOCK", block)
        assert whole_lines(path) == content.rfind(b"\n") + 1
