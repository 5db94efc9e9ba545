"""The commands as typed functions, for notebooks and scripts."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from go4align.checks import whole_number
from go4align.errors import RunFailedError, UserError, unknown_name
from go4align.training import EpochRecord
from study import results as stored
from study.config import Configuration, FrozenConfiguration, FrozenFile, digest
from study.files import is_file, load_configurations, load_frozen, load_study, with_methods
from study.finals import FinalTable
from study.home import tracking_uri as resolve_uri
from study.mlflow_client import connect
from study.plain_yaml import to_yaml
from study.plan import FinalPlan, Launch, Limits, begin_plan, changes, limits, newest_plan, plan_to_resume, store_of
from study.references import stored_reference
from study.session import Session
from study.stages import run_final, run_search
from study.sync import sync as sync_journal
from study.trial import Trial, TrialResult, run_trial
from study.warm_start import lent_trials

__all__ = ["best", "final", "limits", "resume", "run", "run_or_resume", "studies", "sync", "train", "write_frozen"]


def run(
    source: str,
    *,
    methods: str | Sequence[str] | None = None,
    again: bool = False,
    limits: Limits | None = None,
    warm_start: str | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FrozenFile:
    """Search every method of a study and return the best configuration of each.

    Args:
        source: a preset's name, or the path of a study file.
        methods: instead of the study file's; a list, a comma-separated string, or "all".
        again: run a study that the store already holds anew, beside the earlier one.
        limits: of the budget, instead of the study file's.
        warm_start: a study in the store, with the same search space, whose finished trials the search learns from.
        address: a Ray cluster; default a fresh local one.
        tracking_uri: the MLflow store; default $MLFLOW_TRACKING_URI, else a SQLite file in $GO4ALIGN_HOME.
        console: where progress is shown; default nowhere.

    Raises:
        UserError: anything wrong with the study file or its search space, before anything starts; or no trial of any
            method was completed (`RunFailedError`).
    """
    names = methods if isinstance(methods, str) or methods is None else ",".join(methods)
    launch = Launch(source=source, methods=names, limits=limits or Limits(), warm_start=warm_start)
    study, space = launch.load()
    uri = resolve_uri(tracking_uri or study.tracking_uri)
    connect(uri, create=True)
    if not again and (newest_plan(study.name, uri) or stored.exists(study.name, uri)):
        raise UserError(
            f"The study '{study.name}' exists already. Go on with it by `study resume {study.name}`, see it with "
            f"`study best {study.name}`, run it anew beside it with --again, or give the file another `name`."
        )
    lent = lent_trials(warm_start, study, space, uri) if warm_start is not None else {}
    with Session(study, uri, space_hash=digest(space), text=launch.text(), address=address, console=console) as session:
        plan = begin_plan(session.tracker.study_run, uri, study, space, launch)
        run_search(session, plan, lent)
    return _best_after_search(study.name, uri)


def resume(
    source: str,
    *,
    accept_changes: bool = False,
    limits: Limits | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FrozenFile | FinalTable:
    """Go on with a study from wherever it stopped: search, single-task references, or final runs.

    Trials keep their ids and runs; one that was interrupted goes on from its last epoch's checkpoint.

    Args:
        source: the study's name, or its file, as for `run`.
        accept_changes: go on although study file or search space have changed; without it that is refused. A trial
            that had begun under another configuration is then recorded as failed.
        limits: of the budget from now on.
        address, tracking_uri, console: as for `run`.

    Returns:
        The best configurations, or the final table where final runs had begun.

    Raises:
        UserError: this machine has no such study, or its file has changed (names each change).
    """
    shown = console or Console(quiet=True)
    file = source if is_file(source) else None
    name = load_study(source).name if file else source
    plan = plan_to_resume(name, tracking_uri and resolve_uri(tracking_uri))
    launch = plan.launch.renewed(file, limits or Limits())
    study, space = launch.load() if launch.readable else (launch.limits.applied(plan.study), plan.space)
    uri = store_of(plan, tracking_uri or (study.tracking_uri if "***" in plan.store else None))  # a password
    changed = changes(plan, study, space)
    if changed and not accept_changes:
        raise UserError(
            f"The study '{name}' was started from another study file: {'; '.join(changed)}. Undo that, or go on with "
            "the file as it is now by --accept-changes (but scores of trials that train otherwise would not compare)."
        )
    if plan.searched and not changed and not (limits and limits.given):
        shown.print(f"The search of '{name}' is complete.", markup=False)
    else:
        with Session(
            study,
            uri,
            space_hash=digest(space),
            text=launch.text(),
            address=address,
            console=console,
            resume=plan.study_run,
            changed=bool(changed),
        ) as session:
            plan = plan.changed(study=study, space=space, launch=launch, searched=False)
            lender = None if session.history.of("search").stages else launch.warm_start
            run_search(session, plan, lent_trials(lender, study, space, uri) if lender else {})
    if plan.final:
        return run_final(plan.final, uri, address=address, console=console)
    return _best_after_search(name, uri)


def _best_after_search(name: str, uri: str) -> FrozenFile:
    try:
        return best(name, tracking_uri=uri)
    except UserError as error:
        raise RunFailedError(
            f"The search of '{name}' is complete, but MLflow cannot be asked for its best: {error} "
            f"When that is mended: study sync {name}, then study best {name}"
        ) from None


def run_or_resume(
    source: str,
    *,
    methods: str | None = None,
    again: bool = False,
    accept_changes: bool = False,
    limits: Limits | None = None,
    warm_start: str | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FrozenFile | FinalTable:
    """`run`, or `resume` where this machine has the study already and `again` does not ask for another run of it.

    Raises:
        UserError: as for both; or the study was begun with other `methods` or another `warm_start`.
    """
    study = load_study(source)
    uri = resolve_uri(tracking_uri or study.tracking_uri)
    plan = None if again else newest_plan(study.name, uri)
    if plan is None:
        return run(
            source,
            methods=methods,
            again=again,
            limits=limits,
            warm_start=warm_start,
            address=address,
            tracking_uri=uri,
            console=console,
        )
    if methods is not None and set(with_methods(study, methods).methods) != set(plan.study.methods):
        begun, option = f"the methods {', '.join(plan.study.methods)}", f"--methods {methods}"
        raise UserError(_begun_otherwise(study.name, begun, option))
    if warm_start not in (None, plan.launch.warm_start):
        begun = f"what '{plan.launch.warm_start}' lent" if plan.launch.warm_start else "no other study's trials"
        raise UserError(_begun_otherwise(study.name, begun, f"--warm-start {warm_start}"))
    return resume(
        source, accept_changes=accept_changes, limits=limits, address=address, tracking_uri=uri, console=console
    )


def _begun_otherwise(name: str, begun: str, option: str) -> str:
    return (
        f"The study '{name}' was begun with {begun}, not with `{option}`. Go on with it without that option, or begin "
        "anew beside it with --again."
    )


def best(name: str, *, method: str | None = None, tracking_uri: str | None = None) -> FrozenFile:
    """The best configuration of each method on validation (or of one `method`), best first; reads MLflow only."""
    uri = resolve_uri(tracking_uri)
    study = stored.study_file(name, uri)
    configurations = stored.best(name, uri, method)
    return FrozenFile(study=name, reference=stored_reference(study, uri), configurations=configurations)


def write_frozen(frozen: FrozenFile, path: Path) -> None:
    """Write the file that `final` and `train` read."""
    try:
        path.write_text(to_yaml(frozen.model_dump(mode="json")), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def final(
    source: str,
    *,
    seeds: int | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FinalTable:
    """Train published defaults and tuned configurations over the final seeds, and read the test split.

    Runs that are in the store already are not repeated. The table is kept with the study's parent run.

    Args:
        source: a study's name, or a file of `study best`; its study must be in the store.
        seeds: how many seeds; default the study file's.
        address, tracking_uri, console: as for `run`.
    """
    uri = resolve_uri(tracking_uri)
    frozen = load_frozen(source) if is_file(source) else best(source, tracking_uri=uri)
    return run_final(FinalPlan(source=source, frozen=frozen, seeds=seeds), uri, address=address, console=console)


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

    def tell(record: EpochRecord) -> None:
        if console:
            console.print(
                f"epoch {record.epoch}/{chosen.training.epochs}  train loss {sum(record.train.losses):.4g}  "
                f"validation {'Δm % ' if reference else 'loss '}{record.monitored:.4g}  {record.wall_s:.2f} s"
            )

    return run_trial(trial, tell)


def sync(name: str, *, tracking_uri: str | None = None, console: Console | None = None) -> int:
    """Bring what MLflow has not taken yet from the local journal; returns how many events are left."""
    shown = console or Console(quiet=True)
    delivered, left = sync_journal(name, resolve_uri(tracking_uri), notify=lambda text: shown.print(text, markup=False))
    shown.print(f"{delivered} events delivered, {left} left.")
    return left


def studies(*, tracking_uri: str | None = None) -> list[stored.StudySummary]:
    """The studies in the store, newest first."""
    return stored.studies(resolve_uri(tracking_uri))


def _seed(configuration: Configuration, seed: int | None) -> int:
    if seed is not None:
        return whole_number("seed", seed, 0, 2**63 - 1)
    return configuration.seed if isinstance(configuration, FrozenConfiguration) else 0
