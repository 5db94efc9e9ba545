"""The commands `study launch`, `attach`, `down` and `study cluster ...`: arguments in, steps run, no logic."""

import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from go4align.errors import RunFailedError, UserError, one_line

if TYPE_CHECKING:
    from study.cluster.files import ClusterFile
    from study.config import StudyFile

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="A Ray cluster: check its file.")

ClusterPath = Annotated[str, typer.Argument(metavar="CLUSTER_FILE", help="A file of Ray's cluster launcher.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print every step, and run none.")]
Tracking = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store; default the files'.")]


@app.command()
def check(
    file: ClusterPath,
    source: Annotated[str | None, typer.Argument(metavar="NAME|FILE", help="The study that shall run on it.")] = None,
    tracking_uri: Tracking = None,
) -> None:
    """Check a cluster file, alone or with a study, without a network.

    Examples: `study cluster check cluster.yaml`, `study cluster check cluster.yaml qm9`
    """
    from study.cluster.files import load_cluster
    from study.cluster.summary import summary
    from study.files import load_study

    cluster, study = load_cluster(file), load_study(source) if source else None
    _complain_of(cluster, study, tracking_uri)
    for line in summary(cluster, study, tracking_uri):
        _say(line)


def launch(
    file: ClusterPath,
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A preset's name, or a study file.")],
    methods: Annotated[str | None, typer.Option(help="As of `study run`.")] = None,
    again: Annotated[bool, typer.Option("--again", help="As of `study run`.")] = False,
    accept_changes: Annotated[bool, typer.Option("--accept-changes", help="As of `study resume`.")] = False,
    final: Annotated[bool, typer.Option("--final", help="Make the final runs, too, once the search is done.")] = False,
    max_trials: Annotated[int | None, typer.Option(help="As of `study run`.")] = None,
    max_hours: Annotated[float | None, typer.Option(help="As of `study run`.")] = None,
    max_gpu_hours: Annotated[float | None, typer.Option(help="As of `study run`.")] = None,
    warm_start: Annotated[str | None, typer.Option(metavar="STUDY", help="As of `study run`.")] = None,
    tracking_uri: Tracking = None,
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
    from study import plan
    from study.cluster.checks import tracking
    from study.cluster.files import load_cluster
    from study.cluster.launcher import Launch, check_packages, launch_steps
    from study.cluster.nodes import expected
    from study.cluster.runner import run_steps, show_steps
    from study.cluster.staging import stage
    from study.home import without_password

    cluster = load_cluster(file)
    limits = plan.limits(max_trials, max_hours, max_gpu_hours)
    study, _ = plan.Launch(source=source, methods=methods, limits=limits).load()
    _complain_of(cluster, study, tracking_uri)
    options: dict[str, str | float | bool | None] = {
        "methods": methods, "again": again, "accept-changes": accept_changes, "final": final, "max-trials": max_trials,
        "max-hours": max_hours, "max-gpu-hours": max_gpu_hours, "warm-start": warm_start,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="study-") as scratch:
        staged = stage(source, study, cluster, Path(scratch))
        launched = Launch(
            source=staged.source,
            study=study,
            folder=staged.folder,
            options=_words(options),
            job=f"{study.name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}",
            expected=expected(cluster, study.resources, workers),
            minutes=minutes,
        )
        steps = launch_steps(cluster, launched, tracking_uri)
        if dry_run:
            show_steps(steps, _console())
            return
        check_packages(cluster)
        _say(f"{study.name} on {cluster.config['cluster_name']}: {launched.expected.nodes} nodes")
        with _left_alone(file):
            run_steps(steps, _console(), folder=cluster.path.parent)
    uri = tracking(cluster, study, tracking_uri)
    store = f" --tracking-uri {shlex.quote(without_password(uri))}" if uri else ""
    same = f" --tracking-uri {shlex.quote(without_password(tracking_uri))}" if tracking_uri else ""
    more = [] if final else [f"study launch {shlex.quote(file)} {shlex.quote(source)} --final{same}"]
    _next(*more, f"study best {study.name} --out best.yaml{store}", f"study down {shlex.quote(file)}")


def attach(
    file: ClusterPath,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The study; default the last one.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Show the progress of a study that was launched, from its beginning.

    Example: `study attach cluster.yaml`
    """
    from study.cluster.files import load_cluster
    from study.cluster.launcher import attach_steps
    from study.cluster.runner import run_steps, show_steps

    cluster = load_cluster(file)
    steps = attach_steps(cluster, name)
    if dry_run:
        show_steps(steps, _console())
        return
    with _left_alone(file):
        run_steps(steps, _console(), folder=cluster.path.parent)
    _next(f"study down {shlex.quote(file)}")


def down(file: ClusterPath, dry_run: DryRun = False) -> None:
    """Stop a cluster, and see that nothing of it is left.

    Example: `study down cluster.yaml`
    """
    from study.cluster.files import load_cluster
    from study.cluster.launcher import down_steps, look_steps
    from study.cluster.runner import left_behind, run_steps, show_steps

    cluster = load_cluster(file)
    looks = look_steps(cluster)
    if dry_run:
        show_steps([*down_steps(cluster), *(look.step for look in looks)], _console())
        return
    run_steps(down_steps(cluster), _console(), folder=cluster.path.parent, go_on=True)
    left = left_behind(looks, cluster.path.parent)
    if left:
        raise RunFailedError(f"Not all of {cluster.config['cluster_name']} is gone: {'; '.join(left)}.")
    _say(f"Nothing of {cluster.config['cluster_name']} is left.")


@app.command(hidden=True)
def ready(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    gpus: Annotated[int, typer.Option(min=0)] = 0,
    room: Annotated[int, typer.Option(min=0)] = 0,
    minutes: Annotated[float, typer.Option(min=0)] = 20,
) -> None:
    """On the head: wait for nodes and GPUs, and see that a study can start."""
    from study.cluster import head
    from study.cluster.nodes import Expected
    from study.files import load_study

    study = load_study(source)
    if job := head.running_job(study.name):
        raise UserError(
            f"'{study.name}' is running on this cluster already, as job {job}: see it with `study attach "
            f"CLUSTER_FILE`, or stop it there with `ray job stop {job}`."
        )
    head.wait_until_ready(Expected(nodes, gpus, room), study.resources, minutes=minutes, tell=_say)


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
        _say(f"What was submitted goes on. See it again: study attach {file}. Stop it: study down {file}")
        raise


def _complain_of(cluster: "ClusterFile", study: "StudyFile | None", store: str | None) -> None:
    from study.cluster.checks import findings

    found = findings(cluster, study, store)
    for line in found:
        _console(stderr=True).print(one_line(f"study: {cluster.path.name}: {line}"), soft_wrap=True)
    if found:
        raise typer.Exit(UserError.exit_code)


def _words(options: Mapping[str, str | float | bool | None]) -> list[str]:
    """Options as they are typed; a flag has no value."""
    given = [(key, value) for key, value in options.items() if value is not None and value is not False]
    return [word for key, value in given for word in (f"--{key}", *([] if value is True else [str(value)]))]


def _next(*commands: str) -> None:
    _say("Next: " + "\n      ".join(commands))


def _say(text: str) -> None:
    _console().print(text, soft_wrap=True)


def _console(*, stderr: bool = False) -> Console:
    """Shows texts as they are."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)
