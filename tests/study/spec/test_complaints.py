"""What is said of a value that does not fit: the key and the value as the file has them, and what may stand there."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from study.spec.complaints import explain
from study.spec.sections import Section


class Circle(Section):
    type: Literal["circle"]
    radius: float


class Box(Section):
    type: Literal["box", "cube"]
    edges: list[int]


class Everything(Section):
    """Every kind of place that a file can have."""

    value: bool | int | float | str | None = None
    either: Literal["auto"] | int = "auto"
    many: list[float | str] = Field(default=[])
    named: dict[str, int | bool | None] = Field(default={})
    shape: Annotated[Circle | Box, Field(discriminator="type")] | None = None
    shapes: list[Annotated[Circle | Box, Field(discriminator="type")]] = Field(default=[])
    part: Circle | list[str] | None = None
    size: int = 1
    share: float = 1.0
    label: str = ""
    on: bool = False


SAID: list[tuple[dict[str, Any], str]] = [
    ({"value": [1]}, "`value`: must be a text, a number, or true or false, found [1]"),
    ({"either": "atuo"}, "`either`: must be 'auto' or a whole number, found 'atuo'"),
    ({"either": None}, "`either`: must be 'auto' or a whole number, found null"),
    ({"many": [1.0, "a", None]}, "`many.2`: must be a text or a number, found null"),
    ({"many": [1.0, True]}, "`many.1`: must be a text or a number, found true"),
    ({"many": "a"}, "`many`: must be a list, found 'a'"),
    ({"named": {"float": 1.5}}, "`named.float`: must be a whole number or true or false, found 1.5"),
    ({"named": {"int": "1"}}, "`named.int`: must be a whole number or true or false, found '1'"),
    ({"shape": {"type": "circel"}}, "`shape.type`: Unknown type 'circel'. Did you mean 'circle'?"),
    ({"shape": {"radius": 1}}, "`shape`: needs a `type`, found {'radius': 1}"),
    ({"shape": {"type": "circle", "radius": None}}, "`shape.radius`: must be a number, found null"),
    ({"shape": {"type": "circle"}}, "`shape.radius`: is required, found none"),
    ({"shape": {"type": "cube", "egdes": []}}, "`shape.egdes`: Unknown key 'egdes'. Did you mean 'edges'?"),
    ({"shapes": [{"type": "box", "edges": [1, "a"]}]}, "`shapes.0.edges.1`: must be a whole number, found 'a'"),
    ({"part": 5}, "`part`: must be a list or a mapping, found 5"),
    ({"size": "1_000"}, "`size`: must be a whole number, found '1_000'. Write it in decimal digits"),
    ({"share": "1:30"}, "`share`: must be a number, found '1:30'. Write it in decimal digits (90, 1.5 or 1e-3)"),
    ({"label": 5}, "`label`: must be a text, found 5. Put it in quotes"),
    ({"label": None}, "`label`: must be a text, found null"),
    ({"on": "yes"}, "`on`: must be true or false, found 'yes'"),
]  # fmt: skip


def said(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate(data)
    return explain(caught.value, Everything)


@pytest.mark.parametrize(("data", "expected"), SAID, ids=[expected.split(":")[0] for _, expected in SAID])
def test_it_is_said_in_the_words_of_the_file(data: dict[str, Any], expected: str) -> None:
    assert said(data).startswith(expected)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "auto", "circle", "box", "yes"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["type", "radius", "edges", "int", "float", "bool"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*Everything.model_fields]), JUNK, min_size=1, max_size=2))
def test_the_key_that_is_named_stands_in_the_file_or_is_missing_there(data: dict[str, Any]) -> None:
    try:
        Everything.model_validate(data)
    except ValidationError as error:
        message = explain(error, Everything)
    else:
        return
    assert "Input should" not in message and "valid" not in message
    key, _, complaint = message.removeprefix("`").partition("`: ")
    here: Any = data
    *above, last = key.split(".")
    for part in above:
        here = here[int(part)] if isinstance(here, list) else here[part]
    if "is required" in complaint:
        assert last not in here
    else:
        assert last in here or int(last) < len(here)
