"""A launch made ready: everything is read and checked, the store and the run to go on with are known."""

from dataclasses import dataclass

from go4align.errors import UserError
from study.spec import ReadStudy, is_file, method_names, read_study
from study.stages.launch import Launch, Loaded
from study.stages.plan import Plan, differences, newest_plan, plan_to_resume, store_of
from study.store.uri import tracking_uri
from study.trials.code import code_in_use


@dataclass(frozen=True)
class Prepared:
    """What is about to run.

    Attributes:
        launch: how it was asked for, all of it.
        loaded: what that names.
        store: where it is kept.
        plan: the run of the study to go on with; None for a new one.
        differences: what its file and search space say otherwise than the plan.
    """

    launch: Launch
    loaded: Loaded
    store: str
    plan: Plan | None = None
    differences: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The study file's text, where it says what is run."""
        return self.loaded.text or None if self.launch.methods is None else None


def to_run(launch: Launch) -> Prepared:
    """What `run` begins.

    Raises:
        UserError: anything wrong with the study file or its search space; no data; or `accept_changes`, which is for a
            study that has begun.
    """
    if launch.accept_changes:
        raise UserError("`accept_changes` is for a study that has begun: go on with it by `resume`.")
    loaded = launch.load().with_data()
    return Prepared(launch, loaded, tracking_uri(launch.tracking_uri or loaded.study.tracking_uri))


def to_resume(launch: Launch) -> Prepared:
    """What `resume` goes on with.

    Raises:
        UserError: this machine has no such study, or it was begun otherwise; or `again`, which is for a new run of it.
    """
    if launch.again:
        raise UserError("`again` begins a new run of a study: ask for it by `run`.")
    file = read_study(launch.source) if is_file(launch.source) else None
    name = file.study.name if file else launch.source
    store = tracking_uri(launch.tracking_uri) if launch.tracking_uri else None
    return _going_on(launch, plan_to_resume(name, store), file)


def to_run_or_resume(launch: Launch) -> Prepared:
    """What `resume` goes on with where this machine has the study and `again` does not ask for another run of it; else
    what `run` begins.

    Raises:
        UserError: as for both.
    """
    file = read_study(launch.source)
    store = tracking_uri(launch.tracking_uri or file.study.tracking_uri)
    plan = None if launch.again else newest_plan(file.study.name, store)
    if plan is None:
        return Prepared(launch, launch.load(file).with_data(), store)
    return _going_on(launch.model_copy(update={"tracking_uri": store}), plan, file)


def _going_on(launch: Launch, plan: Plan, file: ReadStudy | None) -> Prepared:
    _check_begun_so(launch, plan)
    asked = launch.located()
    renewed = plan.launch.renewed(asked)
    if renewed.readable and not plan.goes_on:  # whose methods are not those of the file
        loaded = renewed.load(file if renewed.source == asked.source else None)
    else:
        study = renewed.applied(plan.study)
        loaded = Loaded(study, plan.space, study.build_benchmark(), "")
    loaded = loaded.with_data()
    return Prepared(
        launch=renewed,
        loaded=loaded,
        store=store_of(plan, launch.tracking_uri, loaded.study.tracking_uri),
        plan=plan,
        differences=tuple(differences(plan, loaded.study, loaded.space, code_in_use(loaded.study, loaded.benchmark))),
    )


def _check_begun_so(launch: Launch, plan: Plan) -> None:
    """What a study begins with cannot change later."""
    if plan.goes_on and plan.final is None:
        raise UserError(
            f"The study '{plan.study.name}' trains what another study has tuned, and has no search to go on with. "
            f"Repeat `{plan.goes_on}`, or search it beside that by `study run {plan.launch.source} --again`."
        )
    if launch.methods is not None and set(method_names(launch.methods)) != set(plan.study.methods):
        begun = f"the methods {', '.join(plan.study.methods)}"
        raise UserError(_begun_otherwise(plan.study.name, begun, f"--methods {launch.methods}"))
    if launch.warm_start not in (None, plan.launch.warm_start):
        begun = f"what '{plan.launch.warm_start}' lent" if plan.launch.warm_start else "no other study's trials"
        raise UserError(_begun_otherwise(plan.study.name, begun, f"--warm-start {launch.warm_start}"))


def _begun_otherwise(name: str, begun: str, option: str) -> str:
    return (
        f"The study '{name}' was begun with {begun}, not with `{option}`. Go on with it without that option, or begin "
        "anew beside it with --again."
    )
