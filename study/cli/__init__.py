"""The `study` command: the terminal, nothing else prints."""

import sys
from typing import TYPE_CHECKING

from go4align.errors import UserError
from go4align.lazy import lazy_names
from study.extra import require_extra

if TYPE_CHECKING:
    from study.cli.command import app

__all__ = ["app", "main"]

__getattr__ = lazy_names(__name__, {"app": "command"})


def main() -> None:
    """Console entry point, which needs nothing but the library to say what is missing."""
    try:
        require_extra()
    except UserError as error:
        sys.stderr.write(f"study: {error}\n")
        sys.exit(error.exit_code)
    from study.cli import command

    command.main()
