"""Study, configuration and search space files: YAML in, sections out, one clear line for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from go4align.benchmarks.base import Benchmark
from go4align.errors import UserError, unknown_name
from go4align.weighting.registry import available_methods
from study.spec.complaints import explain
from study.spec.configuration import BestFile, Configuration, Reference
from study.spec.kinds import refuse_others
from study.spec.study_file import StudyFile
from study.spec.yaml import parse_yaml, read_text, read_yaml

_T = TypeVar("_T", bound=BaseModel)
_C = TypeVar("_C", BestFile, Configuration)


class ReadStudy(NamedTuple):
    """A study file that has been read once.

    Attributes:
        study: what it says; a search space given as a path is looked up beside the file.
        benchmark: which it names, built.
        text: as it is written, with its comments.
    """

    study: StudyFile
    benchmark: Benchmark
    text: str


def read_study(source: str) -> ReadStudy:
    """Read a study file by preset name or path.

    Raises:
        UserError: no such file, or anything wrong in it.
    """
    path = find_file(source, "preset", files("study") / "presets")
    text = read_text(path, "study file")
    keys = parse_yaml(text, path, "study file")
    refuse_others(path, keys, "study file")
    study = parse(StudyFile, path, keys)
    if is_file(study.search_space):
        study = study.model_copy(update={"search_space": str((path.parent / _path(study.search_space)).absolute())})
    try:
        return ReadStudy(study, study.build_benchmark(), text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load_study(source: str) -> StudyFile:
    """What a study file says, as of `read_study`."""
    return read_study(source).study


def revised(study: StudyFile, **sections: Any) -> StudyFile:
    """The study with other sections.

    Raises:
        UserError: they do not go with the rest of it.
    """
    try:
        return StudyFile.model_validate({**study.model_dump(), **sections})
    except ValidationError as error:
        raise UserError(explain(error, StudyFile)) from None


def method_names(methods: str) -> list[str]:
    """Comma-separated names, or "all": every method but `stl`."""
    names = [name.strip() for name in methods.split(",")]
    return [name for name in available_methods() if name != "stl"] if names == ["all"] else names


def load_best_file(path: str) -> BestFile:
    """Read a frozen configuration file."""
    file = find_file(path, "configuration", None)
    keys = read_yaml(file, "configuration file")
    refuse_others(file, keys, "best file")
    return _checked(parse(BestFile, file, keys), file)


def load_configurations(path: str) -> tuple[Sequence[Configuration], Reference | None]:
    """Read a frozen file, or a file with a single configuration (`benchmark`, `method`, `training`)."""
    file = find_file(path, "configuration", None)
    keys = read_yaml(file, "configuration file")
    refuse_others(file, keys, "best file", "configuration")
    if "configurations" in keys:
        frozen = _checked(parse(BestFile, file, keys), file)
        return frozen.configurations, frozen.reference
    return [_checked(parse(Configuration, file, keys), file)], None


def _checked(section: _C, file: Path) -> _C:
    try:
        section.check()
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return section


def find_file(source: str, kind: str, folder: Any) -> Path:
    """A path as given, or the packaged file of that name."""
    if folder is None or is_file(source):
        path = _path(source)
        if not path.exists():
            raise UserError(f"There is no file '{source}'. Check the path.")
        return path
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    if source not in names:
        raise unknown_name(f"{kind} (and no file)", source, names)
    return Path(str(folder / f"{source}.yaml"))


def is_file(source: str) -> bool:
    """Whether a user's NAME|FILE means a file: it ends like one, or has a folder in it."""
    return source.endswith((".yaml", ".yml")) or "/" in source


def absolute(source: str) -> str:
    """The path of a file that a user named, whatever the working directory will be."""
    return str(_path(source).absolute())


def _path(source: str) -> Path:
    try:
        path = Path(source).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"'{source[:80]}' is no path that can be read: {error}. Check the path.") from None
    return path


def parse(model: type[_T], path: Path, data: dict[str, Any]) -> _T:
    """What a file holds as a section, or a `UserError` in one line that names file and key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, model)}") from None


def parse_json(model: type[_T], text: str, what: str) -> _T:
    """A section as `model_dump_json` wrote it, or a `UserError` in one line that names what it is of, and the key."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        reason = explain(error, model).rstrip(".")
        raise UserError(
            f"{what} cannot be read: {reason}. Another version has written it, or it was changed."
        ) from None
