"""What pydantic has to say of a section, in one line and in the words of the file's author."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from go4align.errors import unknown_name

_NAMES: dict[type, str] = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    list: "a list",
    dict: "a mapping",
    BaseModel: "a mapping",
    bool: "true or false",
}
"""What a type is called; in this order, where there are several."""
_MESSAGES = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must hold keys and values"),
    "string_type": "must be a text",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "missing": "is required, found none",
    "union_tag_not_found": "needs a `type`",
}
"""In place of pydantic's, which speak of Python."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint of pydantic as one line: key, what was required, what was found, the remedy."""
    errors = error.errors(include_url=False)
    first = next(
        (e for e in errors if e["type"] == "extra_forbidden"), errors[0]
    )  # what misses its key may be misspelt
    steps = list(_steps(model, first["loc"]))
    key = ".".join(name for name, _ in steps if name is not None)
    if first["type"] == "union_tag_invalid":
        key += "." + first["ctx"]["discriminator"].strip("'")
    message = _message(first, *steps[-1]) if steps else first["msg"].removeprefix("Value error, ")
    return f"`{key}`: {message}" if key else message


def _message(error: ErrorDetails, name: str | None, holder: Any) -> str:
    """What is wrong, without the key: `name` as `holder` has it, or None for a member of a union."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return str(unknown_name("key", name, _keys(holder)))
    if kind == "union_tag_invalid":
        known = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        return str(unknown_name(context["discriminator"].strip("'"), context["tag"], known))
    if name is None and kind.endswith(("_type", "literal_error")):
        message = f"must be {_allowed(_members(holder))}"
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    else:
        message = _MESSAGES.get(kind) or error["msg"].removeprefix("Value error, ")
    return message if kind in {"value_error", "missing"} else f"{message}, found {written(found)}{_remedy(kind, found)}"


def _remedy(kind: str, found: Any) -> str:
    if kind in {"int_type", "float_type"} and isinstance(found, str):
        return ". Write it in decimal digits (90, 1.5 or 1e-3), without quotes"
    if kind == "string_type" and isinstance(found, bool | int | float):
        return ". Put it in quotes"
    return ""


def written(value: Any) -> str:
    """A value as a file says it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value!r:.80}"


def _steps(model: Any, location: tuple[int | str, ...]) -> Iterator[tuple[str | None, Any]]:
    """The way to a place in a file: each key, and what is required where it stands. Pydantic also names which member of
    a union it tried; the file does not, so that is None."""
    required = model
    for part in location:
        members = _members(required)
        if len(members) > 1:
            yield None, required
            required = next((member for member in members if part in _labels(member)), Any)
        elif part != "[key]":  # of a mapping, whose key is at fault
            yield str(part), required
            required = _inside(members[0], part)


def _members(required: Any) -> list[Any]:
    """The alternatives of a union, null left out; of anything else, itself."""
    if get_origin(required) is Annotated:
        return _members(get_args(required)[0])
    if get_origin(required) in (Union, UnionType):
        return [member for part in get_args(required) if part is not NoneType for member in _members(part)]
    return [required]


def _labels(member: Any) -> tuple[Any, ...]:
    """What pydantic calls a member of a union: by its `type`, if that tells the members apart, or else by its class."""
    name = getattr(member, "__name__", "")
    if _is_section(member) and "type" in member.model_fields:
        return (*get_args(member.model_fields["type"].annotation), name)
    return (name,)


def _inside(required: Any, part: int | str) -> Any:
    if _is_section(required):
        return required.model_fields[part].annotation if part in required.model_fields else Any
    arguments = get_args(required)
    return arguments[-1] if arguments and get_origin(required) is not Literal else Any


def _allowed(members: list[Any]) -> str:
    """The members of a union as a choice: `'auto' or a whole number`."""
    names = {name: None for kind, name in _NAMES.items() if any(_is_a(member, kind) for member in members)}
    if _NAMES[float] in names:
        names.pop(_NAMES[int], None)
    literals = [repr(value) for member in members if get_origin(member) is Literal for value in get_args(member)]
    *most, last = [*literals, *names]
    return f"{', '.join(most)}{',' if len(most) > 1 else ''} or {last}"


def _is_a(member: Any, kind: type) -> bool:
    return (get_origin(member) or member) is kind or (kind is BaseModel and _is_section(member))


def _keys(required: Any) -> list[str]:
    """The keys that sections know which may stand here."""
    return list(dict.fromkeys(key for m in _members(required) if _is_section(m) for key in m.model_fields))


def _is_section(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel)
