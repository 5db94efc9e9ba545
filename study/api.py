"""The commands as typed functions, for notebooks and scripts: `run`, `best`, `final`, `train`, `studies`."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from go4align.benchmarks.registry import build_benchmark
from go4align.checks import whole_number
from go4align.errors import RunFailedError, UserError, unknown_name
from go4align.training import EpochRecord
from study import results as stored
from study.config import Configuration, FrozenConfiguration, FrozenFile, digest
from study.files import (
    is_file,
    load_configurations,
    load_frozen,
    load_study,
    study_text,
    with_methods,
)
from study.finals import FinalTable, candidates, final_name, final_seeds, final_table, final_trials
from study.home import tracking_uri as resolve_uri
from study.mlflow_client import connect
from study.proposals import FixedTrials, OptunaProposals
from study.references import stored_reference
from study.session import Session
from study.space import load_space
from study.sync import sync as sync_journal
from study.tables import main_csv
from study.trial import Trial, TrialResult, run_trial


def run(
    source: str,
    *,
    methods: str | Sequence[str] | None = None,
    again: bool = False,
    address: str | None = None,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> FrozenFile:
    """Search every method of a study and return the best configuration of each.

    Args:
        source: a preset's name, or the path of a study file.
        methods: instead of the study file's; a list, a comma-separated string, or "all".
        again: run a study that the store already holds anew, beside the earlier one.
        address: a Ray cluster; default a fresh local one.
        tracking_uri: the MLflow store; default $MLFLOW_TRACKING_URI, else a SQLite file in $GO4ALIGN_HOME.
        console: where progress is shown; default nowhere.

    Raises:
        UserError: anything wrong with the study file or its search space, before anything starts; or no trial of any
            method was completed (`RunFailedError`).
    """
    study = load_study(source)
    if methods is not None:
        study = with_methods(study, methods)
    space = load_space(study)
    uri = resolve_uri(tracking_uri or study.tracking_uri)
    connect(uri, create=True)
    if not again and stored.exists(study.name, uri):
        raise UserError(
            f"The study '{study.name}' is in the tracking store already. See it with `study best {study.name}`, run it "
            "anew beside it with --again, or give the file another `name`."
        )
    text = study_text(source) if methods is None else None
    with Session(study, uri, space_hash=digest(space), text=text, address=address, console=console) as session:
        reference = session.reference()
        proposals = OptunaProposals(study, space, reference, session.folder / "optuna.journal")
        results = session.run("search", proposals, score_name="val Δm %", scheduler=study.scheduler)
    if not any(result.status == "finished" for result in results):
        reasons = [f"{result.trial}: {result.reason}" for result in results if result.reason]
        raise RunFailedError(f"No trial of '{study.name}' was completed. {reasons[0] if reasons else ''}")
    return best(study.name, tracking_uri=uri)


def best(name: str, *, method: str | None = None, tracking_uri: str | None = None) -> FrozenFile:
    """The best configuration of each method on validation (or of one `method`), best first; reads MLflow only."""
    uri = resolve_uri(tracking_uri)
    study = stored.study_file(name, uri)
    configurations = stored.best(name, uri, method)
    return FrozenFile(study=name, reference=stored_reference(study, uri), configurations=configurations)


def write_frozen(frozen: FrozenFile, path: Path) -> None:
    """Write the file that `final` and `train` read."""
    try:
        path.write_text(yaml.safe_dump(frozen.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
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
    study = stored.study_file(frozen.study, uri)
    if any(configuration.benchmark != study.benchmark for configuration in frozen.configurations):
        raise UserError(f"{source} has another `benchmark` than the study '{study.name}'. Write it with `study best`.")
    chosen = candidates(frozen, stored.published(frozen.study, uri))
    numbers = final_seeds(study.seeds, seeds)
    trials = final_trials(chosen, numbers, frozen.reference)
    results = stored.finished(frozen.study, uri, [trial.id for trial in trials])
    missing = [trial for trial in trials if trial.id not in results]
    benchmark = build_benchmark(study.benchmark.name, **study.benchmark.options)
    with Session(study, uri, address=address, console=console, resume=True, trains=bool(missing)) as session:
        if missing:
            results |= {r.trial: r for r in session.run("final", FixedTrials(missing), score_name="val Δm %")}
        table = final_table(frozen.study, benchmark, chosen, results, numbers, frozen.reference)
        whole = (
            not is_file(source) and numbers == study.seeds.final
        )  # the study's own table is not replaced by a partial one
        if table.rows:
            session.tracker.artifact("final.csv" if whole else f"final-{final_name(trials)}.csv", main_csv(table))
    return table


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
