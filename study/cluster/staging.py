"""The files of a study, made ready to travel to the head of a cluster."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from go4align.errors import UserError
from study.cluster.files import ClusterFile
from study.cluster.launcher import LAUNCHED
from study.spec import StudyFile, is_file, load_study


class Staged(NamedTuple):
    """A study that the head can read.

    Attributes:
        source: its name, or the path of its file on the head.
        folder: what to copy there; None for a preset, which every node has.
    """

    source: str
    folder: Path | None


def stage(source: str, study: StudyFile, text: str, cluster: ClusterFile, scratch: Path) -> Staged:
    """Put a study file, and the search space it names by path, into one folder.

    Args:
        source: a preset's name, or the path of a study file.
        study: as read from there.
        text: as written there.
        cluster: where it will run.
        scratch: an empty folder.

    Raises:
        UserError: the search space cannot be read, or the file names it in a way that cannot be rewritten.
    """
    if not is_file(source):
        return Staged(source, None)
    if is_file(study.search_space):
        try:
            shutil.copyfile(study.search_space, scratch / "search_space.yaml")
        except OSError as error:
            raise UserError(f"{source}: `search_space` {study.search_space}: {error.strerror}.") from None
        text = re.sub(r"(?m)^search_space:.*$", "search_space: ./search_space.yaml", text)
    (scratch / "study.yaml").write_text(text, encoding="utf-8")
    if load_study(str(scratch / "study.yaml")).search_space not in (study.search_space, _beside(scratch)):
        raise UserError(f"{source}: write `search_space: PATH` on a line of its own, so that it can be sent along.")
    home = cluster.settings.environment.get("GO4ALIGN_HOME", "~/.go4align")
    return Staged(f"{home}/{LAUNCHED}/{study.name}/study.yaml", scratch)


def _beside(scratch: Path) -> str:
    return str(scratch / "search_space.yaml")
