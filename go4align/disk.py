"""Files that are whole or absent, whatever is killed while it writes them, and locks between processes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

_BLOCK = 65536


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside `path`, to write a file or make a folder at; it takes the place of `path` when the block ends.

    If the block raises, `path` stays as it was and what was written is removed. A killed process leaves it behind, as
    `.NAME.PID.partial`. A folder can only take the place of none, or of an empty one.

    Args:
        path: in a folder that exists.
        durable: whether all of it is forced to the disk first, so that a power cut leaves it whole or absent, too.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _remove(partial)  # of a killed process that had our number
    try:
        yield partial
        if durable:
            for written in (*partial.rglob("*"), partial):
                _flush(written)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            _remove(partial)
        raise
    if durable:
        _flush(path.parent)


def write_whole(path: Path, content: bytes | memoryview | str, *, durable: bool = False) -> None:
    """Write a file, text as UTF-8, whole or not at all; see `replacing`.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; an earlier file of that name is untouched.
    """
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def lock(path: Path) -> FileLock:
    """A lock that one process holds at a time, and that the system lets go when the process dies.

    `with lock(path):` waits for it. Of `held = lock(path)`, `held.acquire(blocking=False)` raises `filelock.Timeout`
    while another has it; keep `held`, which lets go of it when it is collected.

    Args:
        path: of an empty file that is made for it, and stays.
    """
    return FileLock(path, thread_local=False)


def whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line; looks back from the end, so that long files open quickly."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            if (newline := file.read(end - start).rfind(b"\n")) >= 0:
                return start + newline + 1
            end = start
    return 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
