"""Which of the project's kinds of YAML file a file is: one in the place of another is told by what it is."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from go4align.errors import UserError

FileKind = Literal["study file", "search space", "best file", "configuration", "cluster file"]


class _Known(NamedTuple):
    """A kind: its name with an article, what its keys look like, and what such a file is for."""

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    remedy: str


_KINDS: dict[FileKind, _Known] = {
    "best file": _Known(
        "a file of `study best`", lambda keys: "configurations" in keys, "Train what it holds: study final {path}"
    ),
    "configuration": _Known("a configuration", lambda keys: "method" in keys, "Train it: study train {path}"),
    "cluster file": _Known(
        "a cluster file",
        lambda keys: bool({"cluster_name", "provider", "apiVersion"} & keys.keys()),
        "Launch a study on it: study launch {path} NAME",
    ),
    "study file": _Known(
        "a study file",
        lambda keys: bool({"search_space", "budget"} & keys.keys()) or isinstance(keys.get("methods"), list),
        "Search what it names: study run {path}",
    ),
    "search space": _Known(
        "a search space",
        lambda keys: bool({"common", "extends"} & keys.keys()) or isinstance(keys.get("methods"), dict),
        "Name it in a study file: `search_space: {path}`",
    ),
}


def refuse_others(path: Path, keys: Mapping[str, Any], *wanted: FileKind) -> None:
    """See that a file's keys are not those of another kind.

    Args:
        path: the file.
        keys: what it holds.
        wanted: the kinds that are right here. What looks like none at all may be one, misspelt.

    Raises:
        UserError: it is plainly of another.
    """
    if any(_KINDS[kind].fits(keys) for kind in wanted):
        return
    for known in _KINDS.values():
        if known.fits(keys):
            required = " or ".join(_KINDS[kind].name for kind in wanted)
            remedy = known.remedy.format(path=shlex.quote(str(path)))
            raise UserError(f"{path} is {known.name}, {required} was required. {remedy}")
