"""Where a study's files live."""

import os
from pathlib import Path

from go4align.errors import UserError
from go4align.home import home_folder


def home() -> Path:
    """`$GO4ALIGN_HOME`, by default `~/.go4align`; created when missing.

    A relative path counts from the working directory.

    Raises:
        UserError: it names an unknown user's home, or cannot be created or written to.
    """
    return _writable(home_folder())


def study_folder(name: str) -> Path:
    """The folder of a study's journal and checkpoints, `home()/studies/NAME`; created when missing."""
    return _writable(home() / "studies" / name)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be created: {error.strerror}. {_REMEDY}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"The folder {folder} cannot be written to. {_REMEDY}")
    return folder


_REMEDY = "Set GO4ALIGN_HOME to a folder of yours."
