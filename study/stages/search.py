"""The search stage: single-task references, then every method's trials, from wherever they were."""

from contextlib import AbstractContextManager

from rich.console import Console

from go4align.errors import RunFailedError, UserError
from study.results import exists
from study.search import LentTrials, OptunaSearch, Spent, check_grids, lent_trials
from study.spec import digest
from study.stages.plan import Plan, begin_plan, newest_plan
from study.stages.prepared import Prepared
from study.stages.progress import notices
from study.stages.reference import run_reference
from study.stages.session import Session, open_session
from study.store.client import connect
from study.tracking import JournalTracker
from study.trials.code import code_in_use

_FURTHER = 10
"""Trials of a method, of which it is said what they would bring."""


def run_search(prepared: Prepared, console: Console | None) -> Plan:
    """Run a study's search, or what is left of it; returns the plan as it is then.

    Raises:
        UserError: the store cannot be reached; it holds such a study already, and `again` does not ask for another run;
            no trials can be lent; study file or search space have changed, and that is not accepted.
        RunFailedError: no single-task reference, or no trial of any method was completed.
    """
    study, space, *_ = prepared.loaded
    check_grids(study, space)  # before anything is trained for it
    return _begin(prepared, console) if prepared.plan is None else _go_on(prepared, prepared.plan, console)


def _begin(prepared: Prepared, console: Console | None) -> Plan:
    launch = prepared.launch
    store = prepared.store
    study, space, *_ = prepared.loaded
    connect(store, create=True)
    if not launch.again and (newest_plan(study.name, store) or exists(study.name, store)):
        raise UserError(
            f"The study '{study.name}' exists already. Go on with it by `study resume {study.name}`, see it with "
            f"`study best {study.name}`, run it anew beside it with --again, or give the file another `name`."
        )
    lent = _lent(prepared)
    with _session(prepared, console) as session:
        code = code_in_use(study, prepared.loaded.benchmark)
        return _search(session, begin_plan(session.tracker.study_run, store, study, space, launch, code), lent)


def _go_on(prepared: Prepared, plan: Plan, console: Console | None) -> Plan:
    launch = prepared.launch
    name = plan.study.name
    if prepared.differences and not launch.accept_changes:
        raise UserError(
            f"The study '{name}' was started otherwise: {'; '.join(prepared.differences)}. Undo that, or go on with "
            "all as it is now by --accept-changes (but scores of trials that train otherwise would not compare)."
        )
    if plan.goes_on:  # it trains what another study has found, whatever limits are asked for
        return plan
    if plan.searched and not prepared.differences and launch.limits == plan.launch.limits:
        if console:
            console.print(f"The search of '{name}' is complete.", markup=False)
        return plan
    study, space, *_ = prepared.loaded
    with _session(prepared, console) as session:
        code = code_in_use(study, prepared.loaded.benchmark)
        renewed = plan.saved_with(study=study, space=space, launch=launch, code=code, searched=False)
        begun = session.history.of("search").stages
        return _search(session, renewed, {} if begun else _lent(prepared))


def _session(prepared: Prepared, console: Console | None) -> AbstractContextManager[Session]:
    study, space, benchmark, _ = prepared.loaded
    tracker = JournalTracker(
        study,
        prepared.store,
        space_hash=digest(space),
        source=prepared.text,
        study_run=prepared.plan.study_run if prepared.plan else None,
        changed=bool(prepared.differences),
        notify=notices(console),
    )
    return open_session(
        study,
        tracker,
        benchmark=benchmark,
        address=prepared.launch.address,
        console=console,
        any_code=prepared.launch.accept_changes,
    )


def _lent(prepared: Prepared) -> LentTrials:
    lender = prepared.launch.warm_start
    study, space, *_ = prepared.loaded
    return lent_trials(lender, study, space, prepared.store) if lender is not None else {}


def _tell_gains(session: Session, proposals: OptunaSearch) -> None:
    """Whether it pays to search on, and which methods' searches have ended because it does not."""
    say, study, budget = notices(session.console), session.study, session.study.budget
    target = budget.target
    further = target.over_trials if target else _FURTHER
    gains = {method: proposals.expected_gain(method, further) for method in study.methods}
    unit = study.watched.name
    for method, gain in gains.items():
        asked = proposals.asked(method)
        if target and not proposals.pays(method) and asked < budget.trials:
            say(
                f"The search of {method} has ended after {asked} of {budget.trials} trials: {further} more complete "
                f"ones are expected to bring {gain:.2g} ({unit}), less than `budget.target.min_gain` = "
                f"{target.min_gain:g}. Lower that and `study resume {study.name} --accept-changes` to go on."
            )
    known = ", ".join(f"{method} {gain:.2g}" for method, gain in gains.items() if gain is not None)
    few = ", ".join(method for method, gain in gains.items() if gain is None)
    if known:
        say(f"By {further} more complete trials the best score ({unit}) is expected to fall by: {known}")
    if few:
        say(f"What {further} more trials would bring takes more than {further} complete ones to say: {few}")


def _search(session: Session, plan: Plan, lent: LentTrials) -> Plan:
    reference = run_reference(session)
    history = session.history.of("search")
    gpu_s = plan.study.resources_of("search").gpus * sum(result.seconds for result in history.results.values())
    proposals = OptunaSearch(
        plan.study,
        plan.space,
        reference,
        session.folder / "optuna.journal",
        warm_start=lent,
        spent=Spent(len(history.reports), session.spent_s, gpu_s),
    )
    results = session.run("search", proposals, scheduler=plan.study.scheduler)
    _tell_gains(session, proposals)
    results = [*history.results.values(), *results]
    searched = plan.saved_with(searched=True)
    if not any(result.status == "finished" for result in results):
        reasons = [f"{result.trial}: {result.reason}" for result in results if result.reason]
        raise RunFailedError(f"No trial of '{plan.study.name}' was completed. {reasons[0] if reasons else ''}")
    return searched
