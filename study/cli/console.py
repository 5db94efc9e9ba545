"""What every command says in the same way: texts, complaints, and what can be typed next."""

import shlex
import sys

from rich.console import Console

from go4align.errors import UserError, one_line


def console() -> Console:
    """Shows texts as they are. Tables are 120 columns wide where output is not a terminal, so that logs are not cut."""
    shown = sys.stdout is not None and sys.stdout.isatty()  # None: a program without output
    return Console(width=None if shown else 120, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """A text of one or more lines, which are not broken."""
    console().print(text, soft_wrap=True)


def complain(text: str) -> None:
    """One line on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(one_line(text))


def say_next(*commands: str) -> None:
    """End with commands that can be typed as they stand."""
    say("Next: " + "\n      ".join(commands))


def in_store(command: str, store: str | None) -> str:
    """A command with `--tracking-uri` where it would look into another store without; the password is left out.

    Args:
        command: as typed for the default store.
        store: the tracking URI it shall use; None for the default one.
    """
    from study.store.uri import without_password

    if store is None or _resolved(store) == _resolved(None):
        return command
    return f"{command} --tracking-uri {shlex.quote(without_password(_resolved(store)))}"


def mlflow_ui(store: str | None) -> str:
    """The command that shows a store in a browser."""
    from study.store.uri import without_password

    return f"mlflow ui --backend-store-uri {shlex.quote(without_password(_resolved(store)))}"


def _resolved(store: str | None) -> str:
    """What a command here would take; a store that only a cluster's head can use is left as it is."""
    from study.store.uri import tracking_uri

    try:
        return tracking_uri(store)
    except UserError:
        return store or ""
