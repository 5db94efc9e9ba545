"""The commands on studies: arguments in, a function of `study.api` called, its answer printed. No logic."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from go4align.errors import RunFailedError
from study.cli import completion
from study.cli.console import complain, console, in_store, mlflow_ui, say, say_next
from study.cli.options import Address, Name, Tracking, takes_launch
from study.cli.reports import show_grouping

if TYPE_CHECKING:
    from study.results import FinalTable
    from study.spec import BestFile
    from study.stages import Launch

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fair, equally tuned studies of multi-task weighting methods: Ray Tune trials, Optuna search, MLflow records.",
)

ToResume = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE", help="The study's name, or its file.", autocompletion=completion.studies_and_files
    ),
]


@app.command()
@takes_launch("run")
def run(launch: "Launch") -> None:
    """Search hyperparameters for every method of a study.

    Examples: `study run qm9-demo`, `study run my-study.yaml --methods ls,go4align --max-hours 8`
    """
    from study import api
    from study.stages import to_run

    prepared = to_run(launch)
    show_best(api.run(prepared, console=console()), prepared.store)


@app.command()
@takes_launch("resume", source=ToResume)
def resume(launch: "Launch") -> None:
    """Go on with a study that was interrupted or killed: search, references or final runs.

    Examples: `study resume qm9-demo`, `study resume qm9-demo --max-hours 24`
    """
    from study import api
    from study.results import FinalTable, GroupingResult
    from study.stages import to_resume

    prepared = to_resume(launch)
    found = api.resume(prepared, console=console())
    if isinstance(found, FinalTable):
        show_final(found, prepared.store)
    elif isinstance(found, GroupingResult):
        show_grouping(found, prepared.plan.study.name if prepared.plan else launch.source, prepared.store)
    else:
        show_best(found, prepared.store)


@app.command()
def best(
    name: Name,
    method: Annotated[str | None, typer.Option(help="Only this method.", autocompletion=completion.method)] = None,
    out: Annotated[str | None, typer.Option(help="Write the frozen configurations to this file.")] = None,
    tracking_uri: Tracking = None,
) -> None:
    """Ask MLflow for the best configuration of each method.

    Examples: `study best qm9-demo`, `study best qm9-demo --method go4align --out best.yaml`
    """
    from study import api
    from study.cli import tables

    frozen = api.best(name, method=method, tracking_uri=tracking_uri)
    if out is None:
        show_best(frozen, tracking_uri)
        return
    console().print(tables.best_table(frozen))
    api.write_best(frozen, Path(out))
    say(f"Wrote {out}.")
    say_next(f"study train {shlex.quote(out)}", in_store(f"study final {shlex.quote(out)}", tracking_uri))


@app.command()
def final(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A study's name, or a file of `study best`.",
            autocompletion=completion.studies_and_files,
        ),
    ],
    seeds: Annotated[int | None, typer.Option(help="How many final seeds; default those of the study file.")] = None,
    under: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="PRESET|FILE",
            help="Train the tuned configurations in this study's benchmark and protocol instead: tuned small, trained "
            "at full size.",
            autocompletion=completion.presets_and_files,
        ),
    ] = None,
    lr_factor: Annotated[float, typer.Option(help="Of the learning rates, with --with.")] = 1.0,
    address: Address = None,
    tracking_uri: Tracking = None,
) -> None:
    """Run the best configurations over the final seeds, and the defaults beside them but for --with; test is read here.

    Examples: `study final qm9-demo`, `study final best.yaml --seeds 5`, `study final best.yaml --with qm9`
    """
    from study import api

    table = api.final(
        source,
        seeds=seeds,
        under=under,
        lr_factor=lr_factor,
        address=address,
        tracking_uri=tracking_uri,
        console=console(),
    )
    show_final(table, tracking_uri, and_next=under is None)
    if under is not None:
        from study.spec import load_study

        say_next(in_store(f"study report {table.study}", tracking_uri or load_study(under).tracking_uri))


@app.command()
def train(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A file of `study best`, or one configuration.",
            autocompletion=completion.yaml_files,
        ),
    ],
    method: Annotated[
        str | None,
        typer.Option(help="Which of the file's methods; default the best.", autocompletion=completion.method),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default the one that chose the configuration.")] = None,
    test: Annotated[bool, typer.Option("--test", help="Read the test split at the end.")] = False,
) -> None:
    """Train one configuration here, without Ray or MLflow.

    With the file's own seed this reproduces the score that chose the configuration; fixed weights, and what another
    study has tuned, have none yet.

    Examples: `study train best.yaml`, `study train best.yaml --method famo --seed 7 --test`
    """
    from study import api
    from study.cli import tables

    result = api.train(file, method=method, seed=seed, test=test, console=console())
    if result.status == "failed":
        raise RunFailedError(result.reason)
    console().print(tables.metrics_table(result))
    say_next(f"study train {shlex.quote(file)} --seed {(seed or 0) + 1}")


@app.command()
def sync(
    name: Name,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Bring all of it again: to a store that was lost, or a new one.")
    ] = False,
    tracking_uri: Tracking = None,
) -> None:
    """Bring to MLflow what it missed while it was down, from the journal on this machine.

    Example: `study sync qm9-demo`
    """
    from study import api

    left = api.sync(name, rebuild=rebuild, tracking_uri=tracking_uri, console=console())
    say_next(in_store(f"study {'sync' if left else 'best'} {name}", tracking_uri))
    if left:
        raise typer.Exit(1)


@app.command("ls")
def list_studies(tracking_uri: Tracking = None) -> None:
    """List the studies in the tracking store."""
    from study import api
    from study.cli import tables

    summaries = api.studies(tracking_uri=tracking_uri)
    console().print(tables.studies_table(summaries))
    command = f"study best {summaries[0].name}" if summaries else "study run qm9-demo"
    say_next(in_store(command, tracking_uri))


@app.command("rm")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, say what would go.")] = False,
    tracking_uri: Tracking = None,
) -> None:
    """Remove a study: from MLflow its runs, from this machine journal, search, plan and checkpoints.

    Examples: `study rm my-study`, `study rm my-study --yes`
    """
    from study import api

    removal = api.remove(name, yes=yes, tracking_uri=tracking_uri)
    say(f"{name} {'is removed' if removal.done else 'would be removed'}:")
    for line in (*removal.parts, *removal.notes):
        say(f"  {line}")
    say_next(in_store("study ls" if removal.done else f"study rm {name} --yes", tracking_uri))


def show_best(frozen: "BestFile", store: str | None) -> None:
    """The table of the best configurations, and what can be done with them."""
    from study.cli import tables

    console().print(tables.best_table(frozen))
    best_command = f"study best {frozen.study} --out best.yaml"
    say_next(in_store(best_command, store), in_store(f"study final {frozen.study}", store))


def show_final(table: "FinalTable", store: str | None, *, and_next: bool = True) -> None:
    """The tables of final runs, those that failed, and what can be done next.

    Raises:
        Exit: with code 1, where a run failed.
    """
    from study.cli import tables

    for show in (tables.main_table, tables.configuration_table, tables.family_table, tables.task_table):
        if (shown := show(table)) is not None:
            console().print(shown)
    for line in table.failed:
        complain(f"failed: {line}")
    if and_next:
        best_command = f"study best {table.study} --out best.yaml"
        say_next(in_store(best_command, store), in_store("study ls", store), mlflow_ui(store))
    if table.failed:
        raise typer.Exit(1)
