"""Where converted data live on this machine."""

import os
from pathlib import Path


def data_home() -> Path:
    """The folder of all converted data: `$GO4ALIGN_HOME/data`, by default `~/.go4align/data`. Not created here."""
    home = os.environ.get("GO4ALIGN_HOME") or "~/.go4align"
    return Path(home).expanduser() / "data"
