"""Following a study from another shell or machine, by its store alone."""

import time
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live

from go4align.errors import one_line
from study.results import Outlook, StoredStudy, open_study, outlook_of
from study.stages import outlook_view

_PLAIN_S = 60.0
"""Without a terminal, a line is printed at most so often."""


def follow(name: str, uri: str | None, every_s: float, *, once: bool, console: Console) -> str:
    """Show how far a study is, until it has ended; a store that does not answer for a while is waited for.

    Args:
        name: the study.
        uri: the store.
        every_s: how often it is read.
        once: show it once and come back.
        console: where it is shown.

    Returns:
        How the study ended, or "running".

    Raises:
        UserError: no such study, or the store does not answer at the start.
    """
    stored = open_study(name, uri)
    watched = stored.study.watched
    told = -_PLAIN_S
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not once else None
    look, status = outlook_of(stored), stored.tags.get("status", "running")
    with live or nullcontext():
        while True:
            if live:
                live.update(outlook_view.table(look, watched), refresh=True)
            elif once and console.is_terminal:
                console.print(outlook_view.table(look, watched))
            elif once or time.monotonic() - told >= _PLAIN_S or status != "running":
                told = time.monotonic()
                console.print(outlook_view.line(look, watched), markup=False, soft_wrap=True)
            if once or status != "running":
                return status
            look, status = _next_look(stored, every_s, console)


def _next_look(stored: StoredStudy, every_s: float, console: Console) -> tuple[Outlook, str]:
    """How far it is a while later; a store that does not answer is told of once, and waited for."""
    told = False
    while True:
        time.sleep(every_s)
        try:
            stored.refresh()
            return outlook_of(stored), stored.tags.get("status", "running")
        except Exception as error:  # MLflow, databases and the network each have their own
            if not told:
                console.print(f"The store does not answer: {one_line(str(error))[:200]}", markup=False, soft_wrap=True)
            told = True
