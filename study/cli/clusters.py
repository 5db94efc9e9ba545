"""The commands on clusters: arguments in, steps run. No logic."""

import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from go4align.errors import RunFailedError, UserError
from study.cli import completion
from study.cli.console import complain, console, in_store, say, say_next
from study.cli.options import Tracking, takes_launch, typed_store, words
from study.cli.studies import show_final

if TYPE_CHECKING:
    from study.cluster import ClusterFile, NodeKind
    from study.spec import StudyFile
    from study.stages import Launch

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="A Ray cluster: check its file.")

ClusterPath = Annotated[
    str,
    typer.Argument(
        metavar="CLUSTER_FILE", help="A file of Ray's cluster launcher.", autocompletion=completion.yaml_files
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print every step, and run none.")]
FinalRuns = Annotated[bool, typer.Option("--final", help="Make the final runs, too, once the search is done.")]


@app.command()
def check(
    file: ClusterPath,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE", help="The study that shall run on it.", autocompletion=completion.presets_and_files
        ),
    ] = None,
    tracking_uri: Tracking = None,
) -> None:
    """Check a cluster file, alone or with a study.

    Without a network, but for a study whose data have to be brought: then on-premise hosts are asked for them by ssh.

    Examples: `study cluster check cluster.yaml`, `study cluster check cluster.yaml qm9`
    """
    from study.cluster import load_cluster
    from study.spec import load_study

    cluster = load_cluster(file)
    study = load_study(source) if source else None
    _complain_of(cluster, study, tracking_uri)
    for line in _summary(cluster, study, tracking_uri):
        say(line)
    if study:
        _complain_of_data(cluster, study)


@takes_launch("launch")
def launch(
    file: ClusterPath,
    launch: "Launch",
    final_runs: FinalRuns = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Begin when so many workers have joined; default all.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Wait so long for them.")] = 20,
    dry_run: DryRun = False,
) -> None:
    """Start a cluster, run a study on it and show its progress; goes on with the study where it exists already.

    The study runs on the cluster's head: when this terminal is lost, it goes on, and `study attach` shows it again.

    Examples: `study launch cluster.yaml qm9 --final`, `study launch cluster.yaml my-study.yaml --dry-run`
    """
    from study.cluster import (
        ClusterLaunch,
        check_packages,
        cluster_store,
        expected,
        launch_steps,
        load_cluster,
        run_steps,
        show_steps,
        stage,
    )

    cluster = load_cluster(file)
    loaded = launch.load()
    study = loaded.study
    _complain_of(cluster, study, launch.tracking_uri)
    with tempfile.TemporaryDirectory(prefix="study-") as scratch:
        staged = stage(launch.source, study, loaded.text, cluster, Path(scratch))
        launched = ClusterLaunch(
            source=staged.source,
            study=study,
            folder=staged.folder,
            options=[*words(launch, "job"), *(["--final"] if final_runs else [])],
            job=f"{study.name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}",
            expected=expected(cluster, study.resources_of("search"), workers),
            minutes=minutes,
        )
        steps = launch_steps(cluster, launched, launch.tracking_uri)
        if dry_run:
            show_steps(steps, console())
            return
        check_packages(cluster)
        say(f"{study.name} on {cluster.config['cluster_name']}: {launched.expected.nodes} nodes")
        with _left_alone(file):
            run_steps(steps, console(), folder=cluster.path.parent)
    again = f"study launch {shlex.quote(file)} {shlex.quote(launch.source)} --final{typed_store(launch)}"
    best = in_store(f"study best {study.name} --out best.yaml", cluster_store(cluster, study, launch.tracking_uri))
    say_next(*([] if final_runs else [again]), best, f"study down {shlex.quote(file)}")


def attach(
    file: ClusterPath,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The study; default the last one.", autocompletion=completion.studies),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Show the progress of a study that was launched, from its beginning.

    Example: `study attach cluster.yaml`
    """
    from study.cluster import attach_steps, load_cluster, run_steps, show_steps

    cluster = load_cluster(file)
    steps = attach_steps(cluster, name)
    if dry_run:
        show_steps(steps, console())
        return
    with _left_alone(file):
        run_steps(steps, console(), folder=cluster.path.parent)
    say_next(f"study down {shlex.quote(file)}")


def down(file: ClusterPath, dry_run: DryRun = False) -> None:
    """Stop a cluster, and see that nothing of it is left.

    Example: `study down cluster.yaml`
    """
    from study.cluster import down_steps, left_behind, load_cluster, look_steps, run_steps, show_steps

    cluster = load_cluster(file)
    looks = look_steps(cluster)
    if dry_run:
        show_steps([*down_steps(cluster), *(look.step for look in looks)], console())
        return
    run_steps(down_steps(cluster), console(), folder=cluster.path.parent, go_on=True)
    left = left_behind(looks, cluster.path.parent)
    if left:
        raise RunFailedError(f"Not all of {cluster.config['cluster_name']} is gone: {'; '.join(left)}.")
    say(f"Nothing of {cluster.config['cluster_name']} is left.")


@app.command(hidden=True)
def ready(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    gpus: Annotated[int, typer.Option(min=0)] = 0,
    room: Annotated[int, typer.Option(min=0)] = 0,
    minutes: Annotated[float, typer.Option(min=0)] = 20,
) -> None:
    """On the head: wait for nodes and GPUs, and see that a study can start."""
    from study.cluster import Expected, head
    from study.spec import load_study

    study = load_study(source)
    if job := head.running_job(study.name):
        raise UserError(
            f"'{study.name}' is running on this cluster already, as job {job}: see it with `study attach "
            f"CLUSTER_FILE`, or stop it there with `ray job stop {job}`."
        )
    expected = Expected(nodes, gpus, room)
    head.wait_until_ready(expected, study.resources_of("search"), study.benchmark, minutes=minutes, tell=say)


@app.command(hidden=True)
@takes_launch("job")
def job(launch: "Launch", final_runs: FinalRuns = False) -> None:
    """On the head, what `study launch` asks for; goes on with a study that exists already."""
    from study import api
    from study.cli import tables
    from study.results import GroupingResult
    from study.spec import BestFile
    from study.stages import to_run_or_resume

    prepared = to_run_or_resume(launch.model_copy(update={"address": "auto"}))
    found = api.run_or_resume(prepared, console=console())
    if isinstance(found, BestFile):
        console().print(tables.best_table(found))
        if not final_runs:
            return
        found = api.final(found.study, address="auto", tracking_uri=prepared.store, console=console())
    if isinstance(found, GroupingResult):
        console().print(tables.grouping_table(found))
        say(found.verdict)
        return
    show_final(found, prepared.store, and_next=False)


@app.command(hidden=True)
def follow(name: Annotated[str | None, typer.Argument(metavar="NAME")] = None) -> None:
    """On the head: show what the last job of a study prints until it ends."""
    from study.cluster import head

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    raise typer.Exit(head.follow(name, write))


@contextmanager
def _left_alone(file: str) -> Iterator[None]:
    """Ctrl-C stops looking, not the study."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"What was submitted goes on. See it again: study attach {file}. Stop it: study down {file}")
        raise


def _complain_of(cluster: "ClusterFile", study: "StudyFile | None", store: str | None) -> None:
    from study.cluster import findings

    found = findings(cluster, study, store)
    for line in found:
        complain(f"study: {cluster.path.name}: {line}")
    if found:
        raise typer.Exit(UserError.exit_code)


def _complain_of_data(cluster: "ClusterFile", study: "StudyFile") -> None:
    """Where a study's data have to be brought to the nodes: which of them lack them, as far as they exist."""
    from study.cluster import data_findings, data_looks

    source = study.build_benchmark().needed_data
    if source is None:
        return
    if not cluster.hosts:
        say(f"Every node needs the data of {source.name} in $GO4ALIGN_HOME/data: `study launch` names those without.")
        return
    say(f"Asking {len(cluster.hosts)} hosts for the data of {source.name}")
    found = data_findings(data_looks(cluster, source.name), source, cluster.path.parent)
    for line in found:
        complain(f"study: {cluster.path.name}: {line}")
    if found:
        raise typer.Exit(UserError.exit_code)
    say("All of them have the same.")


def _summary(cluster: "ClusterFile", study: "StudyFile | None", store: str | None) -> Iterator[str]:
    """What `check` says of a file without faults: what it starts, and what a study gets from it."""
    from study.cluster import cluster_store, node_kinds
    from study.store.uri import without_password

    kinds = node_kinds(cluster)
    yield f"{cluster.config['cluster_name']}: {cluster.provider['type']}; {', '.join(map(_count, kinds))}"
    yield f"storage: {cluster.settings.environment.get('GO4ALIGN_HOME', 'of the head alone')}"
    if its_store := cluster_store(cluster, study, store):
        yield f"MLflow: {without_password(its_store)}"
    if study:
        yield _room(cluster, study, kinds)
    yield "No faults found in the file: `study launch` finds out the rest."


def _count(kind: "NodeKind") -> str:
    number = str(kind.least) if kind.least == kind.most else f"{kind.least}..{kind.most}"
    gpus = "GPUs unknown" if kind.gpus is None else f"{kind.gpus:g} GPUs each" if kind.gpus else "no GPU"
    return f"{number} {kind.name} ({gpus})"


def _room(cluster: "ClusterFile", study: "StudyFile", kinds: "list[NodeKind]") -> str:
    from study.cluster import expected

    trial = study.resources_of("search")
    needs = f"{study.name}: a trial takes {trial.cpus:g} CPUs and {trial.gpus:g} GPUs"
    if any(kind.holds(trial) is None for kind in kinds):
        return f"{needs}; how many fit shows once the hosts have joined"
    return f"{needs}; {expected(cluster, trial).room} run at once"
