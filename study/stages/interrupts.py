"""Signals that end a study: the first stops it cleanly, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OVERDUE_S = 4.0
"""How long what was interrupted may take to end by itself: Ray without its cluster waits for minutes."""


@contextmanager
def interruptible(notify: Callable[[str], None], overdue: Callable[[], None]) -> Iterator[threading.Timer]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a `KeyboardInterrupt`; a second one ends the process at once.

    Its children end with it: Ray's would otherwise look for one another first, which has taken minutes.
    Whatever is not the main thread of a program, which alone hears signals, is left as it is.

    Args:
        notify: told once, when the first has come.
        overdue: called from a thread some seconds later.

    Yields:
        What waits to call `overdue`, to be cancelled when what was interrupted has ended by itself.
    """
    timer = threading.Timer(_OVERDUE_S, overdue)
    timer.daemon = True
    if threading.current_thread() is not threading.main_thread():
        yield timer
        return
    came = False
    children: list[psutil.Process] = []

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal came
        children.extend(psutil.Process().children(recursive=True))
        if came:
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        came = True
        timer.start()
        notify("Stopping; once more to stop at once.")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield timer
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
