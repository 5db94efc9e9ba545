"""The options of a run, each declared once for every command that takes it."""

import inspect
import shlex
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from study.cli import completion

if TYPE_CHECKING:
    from study.stages import Launch

Source = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE", help="A preset's name, or a study file.", autocompletion=completion.presets_and_files
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.", autocompletion=completion.studies)]
Address = Annotated[str | None, typer.Option(help="A Ray cluster to use; default a local one.")]
Tracking = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="MLflow store; default that of a study file where one is named, else $MLFLOW_TRACKING_URI, else "
        "~/.go4align/mlflow.db.",
    ),
]


class Shared(NamedTuple):
    """An option of a run.

    Attributes:
        declaration: as typer takes it.
        default: where it is not given.
        commands: which take it.
    """

    declaration: Any
    default: Any
    commands: tuple[str, ...]


_BEGIN = ("run", "launch", "job")
_GO_ON = ("resume", "launch", "job")
_HERE = ("run", "resume")
_ALL = ("run", "resume", "launch", "job")

OPTIONS: dict[str, Shared] = {
    "methods": Shared(
        Annotated[
            str | None,
            typer.Option(
                help="Comma-separated methods instead of the study file's, or `all`.",
                autocompletion=completion.methods,
            ),
        ],
        None,
        _BEGIN,
    ),
    "again": Shared(
        Annotated[bool, typer.Option("--again", help="Run a study that exists anew, beside the earlier one.")],
        False,
        _BEGIN,
    ),
    "accept_changes": Shared(
        Annotated[
            bool, typer.Option("--accept-changes", help="Go on although the study file or search space has changed.")
        ],
        False,
        _GO_ON,
    ),
    "max_trials": Shared(
        Annotated[int | None, typer.Option(help="End after this many search trials in all.")], None, _ALL
    ),
    "max_hours": Shared(
        Annotated[float | None, typer.Option(help="Start no search trial after this many hours of all sessions.")],
        None,
        _ALL,
    ),
    "max_gpu_hours": Shared(
        Annotated[float | None, typer.Option(help="Start no search trial after so many GPU-hours of ended ones.")],
        None,
        _ALL,
    ),
    "warm_start": Shared(
        Annotated[
            str | None,
            typer.Option(
                metavar="STUDY",
                help="Learn from the finished trials of a study over the same space.",
                autocompletion=completion.studies,
            ),
        ],
        None,
        _BEGIN,
    ),
    "address": Shared(Address, None, _HERE),
    "tracking_uri": Shared(Tracking, None, _ALL),
}
"""Every option of a `Launch`, under its name there."""


def takes_launch(command: str, source: Any = Source) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a function's parameter `launch` stand on the command line as the study and the options of this command.

    Args:
        command: whose options, see `OPTIONS`.
        source: how the study is named, as typer takes it.
    """
    options = {name: option for name, option in OPTIONS.items() if command in option.commands}
    typed = [inspect.Parameter("source", inspect.Parameter.KEYWORD_ONLY, annotation=source)]
    typed += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.declaration)
        for name, option in options.items()
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def called(**given: Any) -> None:
            from study.stages import Launch

            launch = Launch.of(given.pop("source"), **{name: given.pop(name) for name in options})
            function(launch=launch, **given)

        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(function).parameters.values():
            parameters += typed if own.name == "launch" else [own.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate


def words(launch: "Launch", command: str) -> list[str]:
    """The options of a launch as this command is given them; all but the store's, which is another one's to know."""
    found: list[str] = []
    for name, option in OPTIONS.items():
        value = getattr(launch, name)
        if command in option.commands and name != "tracking_uri" and value != option.default:
            found += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return found


def typed_store(launch: "Launch") -> str:
    """The store of a launch as it was typed, to be typed again; "" where none was."""
    from study.store.uri import without_password

    return f" --tracking-uri {shlex.quote(without_password(launch.tracking_uri))}" if launch.tracking_uri else ""
