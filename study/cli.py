"""The `study` command: arguments in, a function of `study.api` called, its answer printed. No logic."""

import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from go4align.errors import RunFailedError, UserError, one_line
from study.cluster import commands as cluster

if TYPE_CHECKING:
    from study.config import FrozenFile
    from study.finals import FinalTable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fair, equally tuned studies of multi-task weighting methods: Ray Tune trials, Optuna search, MLflow records.",
)

Tracking = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow store; default $MLFLOW_TRACKING_URI, else ~/.go4align/mlflow.db."),
]
MaxTrials = Annotated[int | None, typer.Option(help="End after this many search trials in all.")]
MaxHours = Annotated[float | None, typer.Option(help="Start no search trial after this many hours of all sittings.")]
MaxGpuHours = Annotated[float | None, typer.Option(help="Start no search trial after so many GPU-hours of ended ones.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster to use; default a local one.")]


def main() -> None:
    """Console entry point: a user's mistake is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a Δ in a Latin-1 terminal, a path of other bytes
    try:
        app()
    except UserError as error:
        _complain(f"study: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def run(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A preset's name, or a study file.")],
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated methods instead of the study file's, or `all`.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run a study that exists anew, beside the earlier one.")
    ] = False,
    max_trials: MaxTrials = None,
    max_hours: MaxHours = None,
    max_gpu_hours: MaxGpuHours = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Learn from the finished trials of a study over the same space.")
    ] = None,
    address: Address = None,
    tracking_uri: Tracking = None,
) -> None:
    """Search hyperparameters for every method of a study.

    Examples: `study run qm9-demo`, `study run my-study.yaml --methods ls,go4align --max-hours 8`
    """
    from study import api
    from study.files import load_study

    console = _console()
    store = tracking_uri or load_study(source).tracking_uri  # the file may be gone when the search has ended
    frozen = api.run(
        source,
        methods=methods,
        again=again,
        limits=api.limits(max_trials, max_hours, max_gpu_hours),
        warm_start=warm_start,
        address=address,
        tracking_uri=tracking_uri,
        console=console,
    )
    _show_best(console, frozen, store)


@app.command()
def resume(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="The study's name, or its file.")],
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although the study file or search space has changed.")
    ] = False,
    max_trials: MaxTrials = None,
    max_hours: MaxHours = None,
    max_gpu_hours: MaxGpuHours = None,
    address: Address = None,
    tracking_uri: Tracking = None,
) -> None:
    """Go on with a study that was interrupted or killed: search, references or final runs.

    Examples: `study resume qm9-demo`, `study resume qm9-demo --max-hours 24`
    """
    from study import api
    from study.finals import FinalTable

    console = _console()
    found = api.resume(
        source,
        accept_changes=accept_changes,
        limits=api.limits(max_trials, max_hours, max_gpu_hours),
        address=address,
        tracking_uri=tracking_uri,
        console=console,
    )
    if isinstance(found, FinalTable):
        _show_final(console, found, tracking_uri)
    else:
        _show_best(console, found, tracking_uri)


@app.command()
def best(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study's name.")],
    method: Annotated[str | None, typer.Option(help="Only this method.")] = None,
    out: Annotated[str | None, typer.Option(help="Write the frozen configurations to this file.")] = None,
    tracking_uri: Tracking = None,
) -> None:
    """Ask MLflow for the best configuration of each method.

    Examples: `study best qm9-demo`, `study best qm9-demo --method go4align --out best.yaml`
    """
    from study import api, tables

    console = _console()
    frozen = api.best(name, method=method, tracking_uri=tracking_uri)
    console.print(tables.best_table(frozen))
    if out is None:
        _next(console, tracking_uri, f"study best {name} --out best.yaml", f"study final {name}")
        return
    api.write_frozen(frozen, Path(out))
    console.print(f"Wrote {out}.", markup=False)
    _next(console, tracking_uri, f"study train {shlex.quote(out)}", f"study final {shlex.quote(out)}")


@app.command()
def final(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A study's name, or a file of `study best`.")],
    seeds: Annotated[int | None, typer.Option(help="How many final seeds; default those of the study file.")] = None,
    address: Address = None,
    tracking_uri: Tracking = None,
) -> None:
    """Run the best configurations, and the published defaults beside them, over the final seeds; test is read here.

    Examples: `study final qm9-demo`, `study final best.yaml --seeds 5`
    """
    from study import api

    console = _console()
    table = api.final(source, seeds=seeds, address=address, tracking_uri=tracking_uri, console=console)
    _show_final(console, table, tracking_uri)


@app.command()
def train(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of `study best`, or one configuration.")],
    method: Annotated[str | None, typer.Option(help="Which of the file's methods; default the best.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default the one that chose the configuration.")] = None,
    test: Annotated[bool, typer.Option("--test", help="Read the test split at the end.")] = False,
) -> None:
    """Train one configuration here, without Ray or MLflow.

    With the file's own seed this reproduces the score that chose the configuration.

    Examples: `study train best.yaml`, `study train best.yaml --method famo --seed 7 --test`
    """
    from study import api, tables

    console = _console()
    result = api.train(file, method=method, seed=seed, test=test, console=console)
    if result.status == "failed":
        raise RunFailedError(result.reason)
    console.print(tables.metrics_table(result))
    console.print(f"best validation score {result.score:.6g}; {result.epochs} epochs in {result.seconds:.1f} s")
    _next(console, None, f"study train {shlex.quote(file)} --seed {(seed or 0) + 1}")


@app.command()
def sync(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study's name.")], tracking_uri: Tracking = None
) -> None:
    """Bring to MLflow what it missed while it was down, from the journal on this machine.

    Example: `study sync qm9-demo`
    """
    from study import api

    console = _console()
    left = api.sync(name, tracking_uri=tracking_uri, console=console)
    _next(console, tracking_uri, f"study {'sync' if left else 'best'} {name}")
    if left:
        raise typer.Exit(1)


@app.command("ls")
def list_studies(tracking_uri: Tracking = None) -> None:
    """List the studies in the tracking store."""
    from study import api, tables

    console = _console()
    summaries = api.studies(tracking_uri=tracking_uri)
    console.print(tables.studies_table(summaries))
    first = summaries[0].name if summaries else None
    _next(console, tracking_uri, f"study best {first}" if first else "study run qm9-demo")


app.command()(cluster.launch)
app.command()(cluster.attach)
app.command()(cluster.down)
app.add_typer(cluster.app, name="cluster")


@cluster.app.command(hidden=True)
def job(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    methods: Annotated[str | None, typer.Option()] = None,
    again: Annotated[bool, typer.Option("--again")] = False,
    accept_changes: Annotated[bool, typer.Option("--accept-changes")] = False,
    final_runs: Annotated[bool, typer.Option("--final")] = False,
    max_trials: MaxTrials = None,
    max_hours: MaxHours = None,
    max_gpu_hours: MaxGpuHours = None,
    warm_start: Annotated[str | None, typer.Option()] = None,
    tracking_uri: Tracking = None,
) -> None:
    """On the head, what `study launch` asks for; goes on with a study that exists already."""
    from study import api, tables
    from study.config import FrozenFile
    from study.files import load_study

    console = _console()
    store = tracking_uri or load_study(source).tracking_uri
    found = api.run_or_resume(
        source,
        methods=methods,
        again=again,
        accept_changes=accept_changes,
        limits=api.limits(max_trials, max_hours, max_gpu_hours),
        warm_start=warm_start,
        address="auto",
        tracking_uri=store,
        console=console,
    )
    if isinstance(found, FrozenFile):
        console.print(tables.best_table(found))
        if not final_runs:
            return
        found = api.final(found.study, address="auto", tracking_uri=store, console=console)
    _show_final(console, found, store, and_next=False)


def _show_best(console: Console, frozen: "FrozenFile", store: str | None) -> None:
    from study import tables

    console.print(tables.best_table(frozen))
    _next(console, store, f"study best {frozen.study} --out best.yaml", f"study final {frozen.study}")


def _show_final(console: Console, table: "FinalTable", store: str | None, *, and_next: bool = True) -> None:
    from study import tables

    for shown in (tables.main_table, tables.configuration_table, tables.family_table, tables.task_table):
        console.print(shown(table))
    for line in table.failed:
        _complain(f"failed: {line}")
    if and_next:
        _next(console, store, f"study best {table.study} --out best.yaml", "study ls", mlflow_ui=True)
    if table.failed:
        raise typer.Exit(1)


def _complain(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(one_line(text))


def _console() -> Console:
    """Shows texts as they are. Tables are 120 columns wide where output is not a terminal, so that logs are not cut."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False, emoji=False)


def _next(console: Console, tracking_uri: str | None, *commands: str, mlflow_ui: bool = False) -> None:
    """End with commands that can be typed as they stand."""
    from study.home import tracking_uri as resolve_uri
    from study.home import without_password

    store = f" --tracking-uri {shlex.quote(without_password(tracking_uri))}" if tracking_uri else ""
    lines = [c if c.startswith("study train") else c + store for c in commands]
    if mlflow_ui:
        lines.append(f"mlflow ui --backend-store-uri {shlex.quote(without_password(resolve_uri(tracking_uri)))}")
    console.print("Next: " + "\n      ".join(lines), markup=False, soft_wrap=True)
