"""All commands, and how they end."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from go4align.errors import UserError
from study.cli import clusters, data, methods, reports
from study.cli.console import complain
from study.cli.output import code_of, guarded_output
from study.cli.studies import app

__all__ = ["app", "main"]

app.command()(data.data)
app.command()(data.doctor)
app.command()(methods.methods)
app.command()(reports.report)
app.command()(reports.groups)
app.command("time")(reports.time_methods)
app.command()(reports.watch)
app.command()(clusters.launch)
app.command()(clusters.attach)
app.command()(clusters.down)
app.add_typer(clusters.app, name="cluster")


def main() -> None:
    """Run the command that the process was started with: a user's mistake is one line on stderr and exit code 2."""
    output = guarded_output()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a Δ in a Latin-1 terminal, a path of other bytes
    code = code_of(output, _run())
    if output is not None and "study.tuning" in sys.modules:  # what opens sessions with Ray
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End the process, which is the command's own, at once.

    A session has shut Ray down, or given up on a cluster that is gone. At a normal exit Ray would try again, behind
    what is still trying: seconds, and now and then minutes, in which no signal is heard.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or full
            stream.flush()
    os._exit(code)


def _run() -> int:
    """The exit code of the command."""
    try:
        app()
    except UserError as error:
        complain(f"study: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:  # as the library of the command line ends every command
        return ended.code if isinstance(ended.code, int) else bool(ended.code)
    return 0
