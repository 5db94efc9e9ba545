"""The folder of everything that this project keeps on a machine."""

import os
from pathlib import Path

from go4align.errors import UserError


def home_folder() -> Path:
    """`$GO4ALIGN_HOME`, by default `~/.go4align`. Not created here.

    A relative path counts from the working directory; `~` and `~user` are expanded.

    Raises:
        UserError: there is no such user.
    """
    home = os.environ.get("GO4ALIGN_HOME") or "~/.go4align"
    try:
        return Path(home).expanduser().absolute()
    except RuntimeError:
        raise UserError(f"The home folder in '{home}' is unknown. Set GO4ALIGN_HOME to a folder of yours.") from None


def data_home() -> Path:
    """The folder of all converted data, `home_folder()/data`. Not created here."""
    return home_folder() / "data"
