"""The one exception for a user's mistake, and the nearest-name suggestion its messages carry."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 480
"""Characters of a message: more than any of our own needs, and a quoted value cannot bury it."""
_MOST_NAMES = 24
"""That are listed as known."""


class UserError(ValueError):
    """Bad input, told in one line: what was required, what was found, and the remedy.

    Command line tools print the message without a traceback and exit with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RunFailedError(UserError):
    """What was asked for was right, but training it failed."""

    exit_code = 1


class SolverWarning(UserWarning):
    """A method's solver missed its optimality condition at this step: names the method, task count and residual."""


def unknown_name(kind: str, found: object, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not registered, suggesting the nearest registered one.

    Of many registered names the nearest ones are listed. Letters outside ASCII are written as escapes: all registered
    names are ASCII, and a look-alike would seem to be the very name that is asked for.
    """
    known, text = sorted(known), str(found)[:80]
    nearest = get_close_matches(text, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    if len(known) > _MOST_NAMES:
        known = [*get_close_matches(text, known, n=_MOST_NAMES, cutoff=0.0), f"and {len(known) - _MOST_NAMES} more"]
    shown = text.encode("ascii", "backslashreplace").decode()
    return UserError(f"Unknown {kind} '{shown}'.{hint} Known: {', '.join(known)}.")


def one_line(text: str) -> str:
    """The text in one line that only prints: whatever else a quoted value, path or library's message holds (terminal
    escapes, marks that turn the reading direction) is written as an escape. Of a very long text the middle is left out.
    """
    printed = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    if len(printed) > _LONGEST:
        return f"{printed[: _LONGEST // 2]} ... {printed[-_LONGEST // 2 :]}"
    return printed
