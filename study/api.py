"""The commands as typed functions, for notebooks and scripts.

What trains is imported when it trains: torch and Ray take seconds, which a list of studies must not cost.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from go4align.checks import real_number, whole_number
from go4align.errors import RunFailedError, UserError, unknown_name
from go4align.training import EpochRecord
from study.results import FinalTable, StudySummary, open_study
from study.results import studies as read_studies
from study.spec import BestConfiguration, BestFile, Configuration, is_file, load_best_file, load_configurations, to_yaml
from study.stages import (
    FinalPlan,
    GroupingPlan,
    Launch,
    Prepared,
    Removal,
    notices,
    remove_study,
    to_resume,
    to_run,
    to_run_or_resume,
)
from study.store.texts import keep_text
from study.store.uri import tracking_uri as resolve_uri
from study.tracking import sync_journal
from study.trials.records import Trial, TrialResult

if TYPE_CHECKING:
    from study.report import FoundGroups
    from study.results import GroupingResult, MethodTime, Progress  # scikit-learn and scipy take a second to import


def run(launch: Launch | Prepared | str, *, console: Console | None = None, **options: Any) -> BestFile:
    """Search every method of a study and return the best configuration of each.

    Args:
        launch: how the study is asked for; or a preset's name or a study file's path, with `options`.
        console: where progress is shown; default nowhere.
        options: as the fields of `study.Launch`: `methods`, `max_trials`, `max_hours`, `max_gpu_hours`, `warm_start`,
            `again`, `address`, `tracking_uri`.

    Raises:
        UserError: anything wrong with the study file or its search space, before anything starts; or no trial of any
            method was completed (`RunFailedError`).
    """
    from study.stages import run_search

    prepared = launch if isinstance(launch, Prepared) else to_run(_launch(launch, options))
    run_search(prepared, console)
    return _best_after_search(prepared)


def resume(
    launch: Launch | Prepared | str, *, console: Console | None = None, **options: Any
) -> "BestFile | FinalTable | GroupingResult":
    """Go on with a study from wherever it stopped: search, single-task references, final runs, or its test of grouping.

    Trials keep their ids and runs; one that was interrupted goes on from its last epoch's checkpoint. With
    `accept_changes`, a trial that had begun under another configuration is recorded as failed.

    Args:
        launch: how it is asked for; or the study's name or its file, with `options`.
        console: where progress is shown; default nowhere.
        options: as the fields of `study.Launch`: limits from now on (`max_trials`, `max_hours`, `max_gpu_hours`),
            `accept_changes`, `address`, `tracking_uri`.

    Returns:
        The best configurations; the final table where final runs had begun; or the test of grouping where that had.

    Raises:
        UserError: this machine has no such study, its file has changed (names each change), or it was begun with other
            `methods` or another `warm_start`.
    """
    prepared = launch if isinstance(launch, Prepared) else to_resume(_launch(launch, options))
    return _to_its_end(prepared, console)


def run_or_resume(
    launch: Launch | Prepared | str, *, console: Console | None = None, **options: Any
) -> "BestFile | FinalTable | GroupingResult":
    """`run`, or `resume` where this machine has the study already and `again` does not ask for another run of it.

    Raises:
        UserError: as for both.
    """
    prepared = launch if isinstance(launch, Prepared) else to_run_or_resume(_launch(launch, options))
    return _to_its_end(prepared, console)


def _launch(launch: Launch | str, options: dict[str, Any]) -> Launch:
    if isinstance(launch, str):
        return Launch.of(launch, **options)
    return Launch.of(**{**dict(launch), **options}) if options else launch


def _to_its_end(prepared: Prepared, console: Console | None) -> "BestFile | FinalTable | GroupingResult":
    from study.stages import run_final, run_grouping, run_search

    plan = run_search(prepared, console)
    where: dict[str, Any] = {"address": prepared.launch.address, "console": console}
    if plan.final is not None:
        return run_final(plan.final, prepared.store, **where)
    if plan.grouping is not None:
        return run_grouping(plan.grouping, prepared.store, **where)
    return _best_after_search(prepared)


def _best_after_search(prepared: Prepared) -> BestFile:
    name = prepared.loaded.study.name
    try:
        return best(name, tracking_uri=prepared.store)
    except UserError as error:
        raise RunFailedError(
            f"The search of '{name}' is complete, but MLflow cannot be asked for its best: {error} "
            f"When that is mended: study sync {name}, then study best {name}"
        ) from None


def best(name: str, *, method: str | None = None, tracking_uri: str | None = None) -> BestFile:
    """The best configuration of each method on validation (or of one `method`), best first; reads the store only."""
    return open_study(name, tracking_uri).best(method)


def write_best(frozen: BestFile, path: Path) -> None:
    """Write the file that `final` and `train` read."""
    _write(path, to_yaml(frozen.model_dump(mode="json")))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def final(
    source: str,
    *,
    seeds: int | None = None,
    under: str | None = None,
    lr_factor: float = 1.0,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FinalTable:
    """Train default and tuned configurations over the final seeds, and read the test split.

    Runs that are in the store already are not repeated; with nothing left to train this only reads. The table of new
    runs is kept with the study's parent run.

    Args:
        source: a study's name, or a file of `study best`; its study must be in the store.
        seeds: how many seeds; default the study file's.
        under: a preset or study file: the tuned configurations, without the defaults, are trained in its benchmark and
            protocol instead, in the store that it names unless `tracking_uri` does.
        lr_factor: of learning rates there.
        address, tracking_uri, console: as for `run`.
    """
    from study.stages import run_final, run_transfer

    store = resolve_uri(tracking_uri)
    real_number("--lr-factor", lr_factor, above=1e-6, high=1e6)
    if under is None and lr_factor != 1.0:
        raise UserError("`--lr-factor` is for another study's training: name it by `--with`.")
    frozen = load_best_file(source) if is_file(source) else best(source, tracking_uri=store)
    if under is not None:
        target = to_run(Launch(source=under, tracking_uri=tracking_uri, address=address))
        return run_transfer(frozen, target, source=source, lr_factor=lr_factor, seeds=seeds, console=console)
    return run_final(FinalPlan(source=source, frozen=frozen, seeds=seeds), store, address=address, console=console)


def train(
    path: str | Path,
    *,
    method: str | None = None,
    seed: int | None = None,
    test: bool = False,
    console: Console | None = None,
) -> TrialResult:
    """Train one configuration here, without Ray or MLflow; equal to the study's own trial with that seed.

    Args:
        path: a file of `study best`, or a file with one configuration.
        method: which of the file's; default the first, which is the best.
        seed: of the run; default the seed of the trial that chose the configuration, whose score this then reproduces.
        test: whether to read the test split at the end: not while you are still choosing.
        console: where every epoch is told; default nowhere.
    """
    from study.trials.run import run_trial

    configurations, reference = load_configurations(str(path))
    names = [c.method.key for c in configurations]
    if method is not None and method not in names:
        raise unknown_name(f"method in {path}", method, names)
    chosen = configurations[names.index(method) if method else 0]
    chosen.check()
    if console and len(names) > 1 and method is None:
        console.print(f"Training {names[0]}, the best of {', '.join(names)}; --method chooses another.")
    trial = Trial(
        id="train",
        stage="final",
        configuration=chosen,
        seed=_seed(chosen, seed),
        reference=reference.splits if reference else {},
        test=test,
    )

    watched = chosen.watched(reference=bool(reference))

    def tell(record: EpochRecord) -> None:
        if console:
            console.print(
                f"epoch {record.epoch}/{chosen.training.epochs}  train loss {sum(record.train.losses):.4g}  "
                f"validation {watched.name} {watched.text(record.monitored)}  {record.wall_s:.2f} s"
            )

    result = run_trial(trial, tell)
    if console and result.score is not None:
        score, took = watched.text(result.score), f"{result.epochs} epochs in {result.seconds:.1f} s"
        console.print(f"best validation {watched.name} {score}; {took}")
    return result


def sync(name: str, *, rebuild: bool = False, tracking_uri: str | None = None, console: Console | None = None) -> int:
    """Bring what MLflow has not taken yet from the local journal; returns how many events are left.

    Args:
        name: the study.
        rebuild: bring all of the journal instead, also what was run for other stores: for a store that was lost, or a
            new one. What it has already is left as it is.
        tracking_uri, console: as for `run`.
    """
    say = notices(console)
    delivered, left = sync_journal(name, resolve_uri(tracking_uri), rebuild=rebuild, notify=say)
    say(f"{delivered} events delivered, {left} left.")
    return left


def write_report(
    name: str | Sequence[str],
    out: str | Path | None = None,
    *,
    form: Literal["html", "md"] = "html",
    figures: str | Path | None = None,
    log: bool = False,
    mixed: bool = False,
    tracking_uri: str | None = None,
    progress: "Progress | None" = None,
) -> Path:
    """Write what a study found as one page; reads the store only, also while the study runs.

    Args:
        name: the study; or several, whose methods are put side by side.
        out: the file; default `NAME.html`, or `NAME.md`, in the working folder; of several studies `report`.
        form: "html", one page that opens without a network; or "md", Markdown for a README.
        figures: a folder for every figure as SVG and PNG, and its data as CSV; default none.
        log: keep the file with the study's parent run, too, as the artifact `report.html` or `report.md`.
        mixed: accept several studies with different references or budgets.
        tracking_uri: as for `run`.
        progress: as for `open_study`.

    Returns:
        The file's path.

    Raises:
        UserError: no such study, a file cannot be written, or it shall be kept with a study that runs; several studies
            that are not comparable.
    """
    from study import report

    names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
    stored, *others = [open_study(one, tracking_uri, progress=progress) for one in names]
    if log and others:
        raise UserError("A report of several studies belongs to none of their runs. Leave out `--log`.")
    if log and stored.tags.get("status") == "running":
        raise UserError(f"A report is kept with a study that has ended; '{stored.name}' is running. Leave out `--log`.")
    path = Path(out) if out is not None else Path(f"{'report' if others else stored.name}.{form}")
    built = report.build_comparison([stored, *others], mixed=mixed) if others else report.build_report(stored)
    report.write_report(built, path, form, None if figures is None else Path(figures))
    if log:
        keep_text(stored.uri, stored.run_id, f"report.{form}", path.read_text(encoding="utf-8"))
    return path.absolute()


def groups(
    name: str,
    *,
    method: str | None = None,
    out: str | Path | None = None,
    tracking_uri: str | None = None,
    progress: "Progress | None" = None,
) -> "FoundGroups":
    """Which tasks a method put into one group; reads the store only.

    Args:
        name: the study.
        method: whose groups; default the study's first method that has any.
        out: a file for them, as a variant with `clustering: given` for a study file; default none.
        tracking_uri: as for `run`.
        progress: as for `open_study`.

    Raises:
        UserError: no such study, or none of its trials has groups.
    """
    from study.report import find_groups

    found = find_groups(open_study(name, tracking_uri, progress=progress), method)
    if out is not None:
        _write(Path(out), found.as_yaml)
    return found


def time_methods(
    name: str, *, epochs: int | None = None, tracking_uri: str | None = None, console: Console | None = None
) -> "list[MethodTime]":
    """Seconds of an epoch and memory of every method of a study, measured here, one method at a time and in turns.

    The table is kept with the study's parent run, and its report shows it.

    Args:
        name: the study; its best configurations are timed.
        epochs: how many of each, after one that warms up; default 5.
        tracking_uri, console: as for `run`.

    Raises:
        UserError: no such study, or it is running.
    """
    from study.stages import time_study

    return time_study(open_study(name, tracking_uri), epochs=epochs, console=console)


def does_grouping_help(
    name: str,
    *,
    seeds: int | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> "GroupingResult":
    """Train what answers whether grouping helps, and say what was found; what is in the store is not trained again.

    GO4Align with the groups that it finds, as the best search configuration with 1 < K < M has them, against no
    grouping, one group, the groups that it found fixed, and random groups of the same sizes. All arms have weights of
    the same sum, and each its own learning rate from the same small grid, chosen with the search's seed on validation.

    Args:
        name: the study.
        seeds: how many; default 10.
        address, tracking_uri, console: as for `run`.

    Raises:
        UserError: no such study, fewer than three tasks, or no configuration that groups.
    """
    from study.stages import run_grouping

    asked = GroupingPlan(study=name, seeds=seeds)
    return run_grouping(asked, resolve_uri(tracking_uri), address=address, console=console)


def studies(*, tracking_uri: str | None = None) -> list[StudySummary]:
    """The studies in the store, newest first; reads the store only."""
    return read_studies(tracking_uri)


def remove(name: str, *, yes: bool = True, tracking_uri: str | None = None) -> Removal:
    """Remove a study: its runs with their files, and its journal, search, plan and checkpoints on this machine.

    Its name is free then. Where a kill leaves something, the next call goes on. Single-task runs that another study in
    the store is relative to stay.

    Args:
        name: the study.
        yes: False only finds out what would go.
        tracking_uri: the only store that it shall leave; default the default one, and those that this machine ran it
            for. The folder on this machine goes, unless it has runs that are kept in another store.

    Returns:
        What has gone, or would go, with counts and sizes.

    Raises:
        UserError: there is no such study, it is running, or a store that it is in does not answer.
        RunFailedError: something could not be removed.
    """
    return remove_study(name, yes=yes, uri=tracking_uri)


def _seed(configuration: Configuration, seed: int | None) -> int:
    if seed is not None:
        return whole_number("seed", seed, 0, 2**63 - 1)
    return configuration.seed if isinstance(configuration, BestConfiguration) else 0
