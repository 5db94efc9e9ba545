"""Study, configuration and search space files: YAML in, sections out, one clear line for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from go4align.errors import UserError, unknown_name
from go4align.weighting.registry import available_methods
from study.config import Configuration, FrozenFile, Reference, StudyFile
from study.plain_yaml import read_text, read_yaml

_T = TypeVar("_T", bound=BaseModel)
_C = TypeVar("_C", FrozenFile, Configuration)
_MESSAGES = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must hold keys and values"),
    "missing": "is required, found none",
    "union_tag_not_found": "needs a `type`",
}
"""In place of pydantic's, which speak of Python."""


def load_study(source: str) -> StudyFile:
    """Read a study file by preset name or path; a search space given as a path is looked up beside the file."""
    path = find_file(source, "preset", files("study") / "presets")
    study = parse(StudyFile, path, "study file")
    if is_file(study.search_space):
        return study.model_copy(update={"search_space": str((path.parent / _path(study.search_space)).absolute())})
    return study


def study_text(source: str) -> str:
    """The text of a study file, with its comments."""
    return read_text(find_file(source, "preset", files("study") / "presets"), "study file")


def with_methods(study: StudyFile, methods: str | Sequence[str]) -> StudyFile:
    """The study with other methods: a list, a comma-separated string, or "all" (every method but `stl`)."""
    names = methods.split(",") if isinstance(methods, str) else methods
    names = [name.strip() for name in names]
    if names == ["all"]:
        names = [name for name in available_methods() if name != "stl"]
    try:
        return StudyFile.model_validate({**study.model_dump(), "methods": names})
    except ValidationError as error:
        raise UserError(explain(error, StudyFile)) from None


def load_frozen(path: str) -> FrozenFile:
    """Read a frozen configuration file."""
    file = find_file(path, "configuration", None)
    return _checked(parse(FrozenFile, file, "configuration file"), file)


def load_configurations(path: str) -> tuple[Sequence[Configuration], Reference | None]:
    """Read a frozen file, or a file with a single configuration (`benchmark`, `method`, `training`)."""
    file = find_file(path, "configuration", None)
    keys = read_yaml(file, "configuration file")
    if "methods" in keys:
        raise UserError(f"{path} is a study file, a configuration was required. Search it with: study run {path}")
    if "configurations" in keys:
        frozen = load_frozen(path)
        return frozen.configurations, frozen.reference
    return [_checked(parse(Configuration, file, "configuration file"), file)], None


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


def parse(model: type[_T], path: Path, kind: str) -> _T:
    """Read a file as a section, or a `UserError` in one line that names file and key."""
    try:
        return model.model_validate(read_yaml(path, kind))
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, model)}") from None


def parse_json(model: type[_T], text: str, what: str) -> _T:
    """A section as `model_dump_json` wrote it, or a `UserError` in one line that names what it is of, and the key."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(
            f"{what} cannot be read: {explain(error, model)}. Another version has written it, or it was changed."
        ) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint of pydantic as one line: key, what was required, what was found, the remedy."""
    errors = error.errors(include_url=False)
    first = next(
        (e for e in errors if e["type"] == "extra_forbidden"), errors[0]
    )  # what misses its key may be misspelt
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"`{key}`: {unknown_name('key', first['loc'][-1], _keys_at(model, first['loc'][:-1]))}"
    message = _MESSAGES.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] in {"value_error", "missing"} else f", found {first['input']!r:.80}"
    return f"`{key}`: {message}{found}" if key else message


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys known at a place in a file: through fields, dictionaries, lists and unions told apart by `type`."""
    annotation: Any = model
    for part in location:
        models = _models(annotation)
        tagged = [m for m in models if "type" in m.model_fields and part in get_args(m.model_fields["type"].annotation)]
        fields_ = [m.model_fields[part].annotation for m in models if isinstance(part, str) and part in m.model_fields]
        annotation = next(iter([*tagged, *fields_]), annotation)
    return list(dict.fromkeys(key for m in _models(annotation) for key in m.model_fields))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]
