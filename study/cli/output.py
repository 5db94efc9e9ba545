"""Output that may be closed, full or gone: a study goes on without it, and the command says so at its end."""

from __future__ import annotations

import io
import os
import sys
from errno import EPIPE
from typing import TYPE_CHECKING

from study.cli.console import complain

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_CLOSED, _STDOUT, _STDERR = -1, 1, 2


class Output(io.RawIOBase):
    """Writes to a file descriptor, and remembers the first failure instead of raising it.

    Attributes:
        problem: what went wrong, if anything did. A reader that has seen enough (`| head`) is none.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.problem: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        content = bytes(data)
        written = 0
        while written < len(content):
            try:
                written += os.write(self._descriptor, content[written:])
            except OSError as error:
                if error.errno != EPIPE and self.problem is None:
                    self.problem = error
                return len(content)
        return written

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def guarded_output() -> Output | None:
    """Put `Output` in the place of the process's own stdout and stderr; None where others have their place (in tests).

    Returns the one of stdout.

    What was closed before the process began is opened to nowhere: the next file would take its number, and hold what is
    written to the terminal.
    """
    own = sys.__stdout__
    if sys.stdout is not own or sys.stderr is not sys.__stderr__:
        return None
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    sys.stderr = _text(Output(_STDERR), sys.stderr.encoding if sys.stderr else "utf-8")
    output = Output(_STDOUT if own else _CLOSED)
    sys.stdout = _text(output, own.encoding if own else "utf-8")
    return output


def _text(output: Output, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(output), encoding, errors="backslashreplace", line_buffering=True)


def code_of(output: Output | None, code: int) -> int:
    """The exit code of a command that ended with `code`; 1, and a line on stderr, where that is 0 and text was lost."""
    if output is not None:
        sys.stdout.flush()
    if code or output is None or output.problem is None:
        return code
    complain(f"study: The output could not be written: {output.problem.strerror}. Direct it to where it can be.")
    return 1
