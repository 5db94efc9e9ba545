"""Options of a run: declared once, the same in the terminal, in a notebook, and on their way to a cluster."""

import ast
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

import study
from go4align.errors import UserError
from study.cli import app
from study.cli.options import OPTIONS, words
from study.stages import Launch

TEXTS = st.text("abc,-_ 09", min_size=1).filter(lambda text: not text.startswith("-"))
POSITIVE = st.floats(min_value=1e-6, max_value=1e6)
LAUNCHES = st.builds(
    Launch,
    source=st.just("toy"),
    methods=st.none() | TEXTS,
    max_trials=st.none() | st.integers(1, 10**6),
    max_hours=st.none() | POSITIVE,
    max_gpu_hours=st.none() | POSITIVE,
    warm_start=st.none() | TEXTS,
    again=st.booleans(),
    accept_changes=st.booleans(),
)


def command(*names: str) -> Any:
    """A command as typer built it."""
    found: Any = get_command(app)
    for name in names:
        found = found.commands[name]
    return found


def test_every_option_of_a_launch_is_declared_with_its_type_and_default() -> None:
    fields = {name: field for name, field in Launch.model_fields.items() if name != "source"}
    assert set(OPTIONS) == set(fields)
    for name, option in OPTIONS.items():
        assert get_args(option.declaration)[0] == fields[name].annotation, name
        assert option.default == fields[name].default, name


@pytest.mark.parametrize("names", [("run",), ("resume",), ("launch",), ("cluster", "job")])
def test_a_command_has_the_options_that_are_declared_for_it_and_says_what_they_do(names: tuple[str, ...]) -> None:
    parameters = {parameter.name: parameter for parameter in command(*names).params}
    shared = {name for name, option in OPTIONS.items() if names[-1] in option.commands}
    assert shared == set(OPTIONS) & set(parameters)
    for name in shared:
        assert f"--{name.replace('_', '-')}" in parameters[name].opts
        assert parameters[name].help


@given(LAUNCHES)
def test_what_a_launch_says_arrives_on_the_head_as_it_was_said(launch: Launch) -> None:
    arguments = [launch.source, *words(launch, "job")]
    given_there = command("cluster", "job").make_context("job", arguments).params
    options = {name: given_there[name] for name in OPTIONS if name in given_there}
    assert Launch.of(given_there["source"], **options) == launch


def test_an_option_stands_in_two_places() -> None:
    """As a field of `Launch` and as a declaration; whatever passes a launch on names none of them."""
    root = Path(study.__file__).parent
    places = {str(path.relative_to(root)) for path in root.rglob("*.py") if "max_gpu_hours" in _names(path)}
    assert places == {"stages/launch.py", "cli/options.py"}


def _names(path: Path) -> set[Any]:
    """Names and texts in code; texts of documentation are longer."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {getattr(node, "id", None) or getattr(node, "arg", None) for node in nodes}


@pytest.mark.parametrize("words", [["--test", "--method", "famo"], ["--test", "--out", "a.yaml"], ["--seeds", "3"]])
def test_an_option_of_the_other_form_of_groups_is_refused_before_anything_is_read(words: list[str]) -> None:
    found = CliRunner().invoke(app, ["groups", "nothing", *words])
    assert isinstance(found.exception, UserError)
    assert f"`{words[-2]}` has no effect with" in str(found.exception)
