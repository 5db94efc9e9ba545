"""The one exception for a user's mistake, and the nearest-name suggestion its messages carry."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input, told in one line: what was required, what was found, and the remedy.

    Command line tools print the message without a traceback and exit with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # one line, whatever a quoted library's message holds


class RunFailedError(UserError):
    """What was asked for was right, but training it failed."""

    exit_code = 1


class SolverWarning(UserWarning):
    """A method's solver missed its optimality condition at this step: names the method, task count and residual."""


def unknown_name(kind: str, found: object, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not registered, suggesting the nearest registered one."""
    known = sorted(known)
    nearest = get_close_matches(str(found), known, n=1, cutoff=0.5)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return UserError(f"Unknown {kind} '{found}'.{hint} Known: {', '.join(known)}.")
