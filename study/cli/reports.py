"""The commands that say what a study found, or how far it is. No logic."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress

from go4align.errors import UserError
from study.cli import completion
from study.cli.console import console, in_store, say, say_next
from study.cli.options import Address, Name, Tracking

if TYPE_CHECKING:
    from study.results import GroupingResult

ReportFormat = Literal["html", "md"]


def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="The study, or several.", autocompletion=completion.studies)
    ],
    out: Annotated[str | None, typer.Option(help="The file; default NAME.html or NAME.md, here.")] = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="html: one page; md: for a README.")] = "html",
    figures: Annotated[
        str | None, typer.Option(help="A folder for every figure as SVG and PNG, and its data as CSV.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Keep it with the study's run in MLflow, too.")] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Put studies side by side whose references or budgets differ.")
    ] = False,
    tracking_uri: Tracking = None,
) -> None:
    """Write one page that says what a study found: results, who pays, groups, search, cost.

    Several studies come on one page, with every method's Δm, rank and time on each.

    Examples: `study report qm9-demo`, `study report qm9-demo --format md --figures pictures`
    """
    from study import api

    with _reading() as told:
        path = api.write_report(
            names, out, form=form, figures=figures, log=log, mixed=mixed, tracking_uri=tracking_uri, progress=told
        )
    say(f"Wrote {path}")
    if figures:
        say(f"Wrote figures to {Path(figures).absolute()}")


@contextmanager
def _reading() -> Iterator[Callable[[int, int], None]]:
    """A bar, on a terminal, for the trials that have been read; what follows takes a second or two."""
    with Progress(console=console(), transient=True, disable=not console().is_terminal) as progress:
        task = progress.add_task("Reading trials", total=None)
        yield lambda read, of: progress.update(task, completed=read, total=of)


def watch(
    name: Name,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and come back.")] = False,
    tracking_uri: Tracking = None,
) -> None:
    """Follow a study from another shell or machine, until it ends: what is done, what runs, the best so far.

    Examples: `study watch qm9-demo`, `study watch qm9-demo --once`
    """
    from study.cli.watching import follow

    status = follow(name, tracking_uri, every, once=once, console=console())
    say(f"{name}: {status}")
    if status in {"interrupted", "failed"}:
        say_next(f"study resume {name}")


def time_methods(
    name: Name,
    epochs: Annotated[int | None, typer.Option(help="How many of each method; default 5.")] = None,
    tracking_uri: Tracking = None,
) -> None:
    """Measure what each method costs, here, one at a time and in turns; the report shows it.

    Examples: `study time qm9-demo`, `study time qm9-demo --epochs 20`
    """
    from study import api
    from study.cli import tables

    found = api.time_methods(name, epochs=epochs, tracking_uri=tracking_uri, console=console())
    console().print(tables.time_table(found))
    say_next(in_store(f"study report {name}", tracking_uri))


def groups(
    name: Name,
    method: Annotated[
        str | None, typer.Option(help="Whose groups; default the first that has any.", autocompletion=completion.method)
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="A file for them, as a variant that fixes them; default groups.yaml.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Train what answers whether grouping helps.")] = False,
    seeds: Annotated[int | None, typer.Option(help="How many seeds the test has; default 10.")] = None,
    address: Address = None,
    tracking_uri: Tracking = None,
) -> None:
    """Say which tasks share a group, how steadily, and write the groups as a variant for a study file.

    With `--test`, train GO4Align with its groups against no grouping, one group, the same groups fixed and random ones,
    over the same seeds, and say whether grouping helps.

    Examples: `study groups qm9-demo`, `study groups qm9-demo --test`
    """
    only_without = {"--method": method, "--out": out}
    only_with = {"--seeds": seeds, "--address": address}
    for option in [option for option, value in (only_without if test else only_with).items() if value is not None]:
        raise UserError(f"`{option}` has no effect {'with' if test else 'without'} --test. Remove it.")
    if test:
        _test_grouping(name, seeds, address, tracking_uri)
        return
    from study import api
    from study.cli import tables

    out = out or "groups.yaml"
    with _reading() as told:
        found = api.groups(name, method=method, out=out, tracking_uri=tracking_uri, progress=told)
    for shown in tables.group_tables(found):
        console().print(shown)
    say(f"Wrote {out}: these groups, fixed, as a variant for a study file.")
    say_next(in_store(f"study report {found.study}", tracking_uri))


def _test_grouping(name: str, seeds: int | None, address: str | None, tracking_uri: str | None) -> None:
    from study import api

    found = api.does_grouping_help(name, seeds=seeds, address=address, tracking_uri=tracking_uri, console=console())
    show_grouping(found, name, tracking_uri)


def show_grouping(found: "GroupingResult", name: str, store: str | None) -> None:
    """The arms of a test of grouping, and its verdict."""
    from study.cli import tables

    console().print(tables.grouping_table(found))
    say(found.verdict)
    say_next(in_store(f"study report {name}", store))
