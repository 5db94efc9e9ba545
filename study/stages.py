"""The stages of a study, each from wherever it was: references and search, then final runs."""

from rich.console import Console

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import RunFailedError, UserError
from study import results as stored
from study.files import is_file
from study.finals import FinalTable, candidates, final_name, final_seeds, final_table, final_trials
from study.plan import FinalPlan, Plan, plan_of
from study.proposals import OptunaProposals, Spent
from study.session import Session
from study.tables import main_csv
from study.warm_start import LentTrials


def run_search(session: Session, plan: Plan, lent: LentTrials) -> None:
    """Single-task references and the search, or what is left of them.

    Raises:
        RunFailedError: no reference, or no trial of any method was completed.
    """
    reference = session.reference()
    history = session.history.of("search")
    gpu_s = plan.study.resources.gpus * sum(result.seconds for result in history.results.values())
    proposals = OptunaProposals(
        plan.study,
        plan.space,
        reference,
        session.folder / "optuna.journal",
        warm_start=lent,
        spent=Spent(len(history.reports), session.spent_s, gpu_s),
    )
    results = session.run("search", proposals, score_name="val Δm %", scheduler=plan.study.scheduler)
    results = [*history.results.values(), *results]
    plan.changed(searched=True)
    if not any(result.status == "finished" for result in results):
        reasons = [f"{result.trial}: {result.reason}" for result in results if result.reason]
        raise RunFailedError(f"No trial of '{plan.study.name}' was completed. {reasons[0] if reasons else ''}")


def run_final(asked: FinalPlan, uri: str, *, address: str | None, console: Console | None) -> FinalTable:
    """Final runs that the store does not hold yet, and the table of all.

    Raises:
        UserError: the study is not in the store, or the configurations are of another benchmark.
    """
    source, frozen = asked.source, asked.frozen
    study = stored.study_file(frozen.study, uri)
    if any(configuration.benchmark != study.benchmark for configuration in frozen.configurations):
        raise UserError(f"{source} has another `benchmark` than the study '{study.name}'. Write it with `study best`.")
    chosen = candidates(frozen, stored.published(frozen.study, uri))
    numbers = final_seeds(study.seeds, asked.seeds)
    trials = final_trials(chosen, numbers, frozen.reference)
    results = stored.finished(frozen.study, uri, [trial.id for trial in trials])
    missing = [trial for trial in trials if trial.id not in results]
    benchmark = build_benchmark(study.benchmark.name, **study.benchmark.options)
    with Session(study, uri, address=address, console=console, resume=True, trains=bool(missing)) as session:
        plan = plan_of(study.name, session.tracker.study_run)
        if missing:
            plan = plan and plan.changed(final=asked)
            results |= {r.trial: r for r in session.run_all("final", missing, score_name="val Δm %")}
        table = final_table(frozen.study, benchmark, chosen, results, numbers, frozen.reference)
        # The study's own table is not replaced by a partial one.
        whole = not is_file(source) and numbers == study.seeds.final
        if table.rows:
            session.tracker.artifact("final.csv" if whole else f"final-{final_name(trials)}.csv", main_csv(table))
        if plan:
            plan.changed(final=None)
    return table
