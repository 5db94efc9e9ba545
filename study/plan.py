"""`plan.json` in the folder of a run of a study: what it was started from, so that it can be resumed as it was."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from go4align.errors import UserError
from study.config import FrozenFile, Section, StudyFile, is_name
from study.files import absolute, explain, is_file, load_study, study_text, with_methods
from study.home import home, tracking_uri, without_password
from study.space import SearchSpace, load_space

_FILE = "plan.json"


class Limits(Section):
    """Limits of the budget that a command line sets instead of the study file; None leaves the file's."""

    max_trials: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)

    @property
    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)

    def applied(self, study: StudyFile) -> StudyFile:
        """The study with these limits.

        Raises:
            UserError: they do not go with the rest of it.
        """
        budget = study.budget.model_dump() | self.given
        try:
            return StudyFile.model_validate({**study.model_dump(), "budget": budget})
        except ValidationError as error:
            raise UserError(explain(error, StudyFile)) from None


def limits(max_trials: int | None = None, max_hours: float | None = None, max_gpu_hours: float | None = None) -> Limits:
    """Limits of a budget as `run` and `resume` take them.

    Raises:
        UserError: one is not positive.
    """
    for name, value in {"max_trials": max_trials, "max_hours": max_hours, "max_gpu_hours": max_gpu_hours}.items():
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"`{name}` must be positive, found {value}.")
    return Limits(max_trials=max_trials, hours=max_hours, gpu_hours=max_gpu_hours)


class Launch(Section):
    """How a study was asked for.

    Attributes:
        source: a preset's name, or the path of the study file.
        methods: instead of the file's.
        limits: instead of the file's.
        warm_start: the study that lends its trials.
    """

    source: str
    methods: str | None = None
    limits: Limits = Limits()
    warm_start: str | None = None

    def load(self) -> tuple[StudyFile, SearchSpace]:
        """Read the study file and its search space.

        Raises:
            UserError: anything wrong with them.
        """
        study = load_study(self.source)
        if self.methods is not None:
            study = with_methods(study, self.methods)
        study = self.limits.applied(study)
        return study, load_space(study)

    def text(self) -> str | None:
        """The study file's text, where it says what is run."""
        return study_text(self.source) if self.readable and self.methods is None else None

    @property
    def readable(self) -> bool:
        """Whether the study file is still there."""
        return not is_file(self.source) or Path(self.source).exists()

    def renewed(self, source: str | None, limits: Limits) -> "Launch":
        """The same with another path of the file, and with these limits."""
        return self.model_copy(
            update={
                "source": absolute(source) if source else self.source,
                "limits": self.limits.model_copy(update=limits.given),
            }
        )


class FinalPlan(Section):
    """Final runs that were asked for.

    Attributes:
        source: a study's name, or the file they were asked from.
        frozen: the tuned configurations.
        seeds: how many; None for the study file's.
    """

    source: str
    frozen: FrozenFile
    seeds: int | None = None


class Plan(Section):
    """What a run of a study was started from, and how far it is.

    Attributes:
        study_run: names it.
        created_ms: Unix time in milliseconds.
        store: its tracking store, without the password.
        study, space: as they are in force.
        launch: how it was asked for.
        searched: whether its search has ended.
        final: the final runs that have begun and not ended.
    """

    study_run: str
    created_ms: int
    store: str
    study: StudyFile
    space: SearchSpace
    launch: Launch
    searched: bool = False
    final: FinalPlan | None = None

    def save(self) -> None:
        """Write it to the run's folder, whole or not at all.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.
        """
        path = home() / "studies" / self.study.name / self.study_run / _FILE
        partial = path.with_suffix(".partial")
        partial.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        partial.replace(path)

    def changed(self, **values: Any) -> "Plan":
        """A copy with other values, saved."""
        plan = self.model_copy(update=values)
        plan.save()
        return plan


def begin_plan(study_run: str, uri: str, study: StudyFile, space: SearchSpace, launch: Launch) -> Plan:
    """The plan of a run that begins now, saved."""
    plan = Plan(
        study_run=study_run,
        created_ms=time.time_ns() // 1_000_000,
        store=without_password(uri),
        study=study.model_copy(update={"tracking_uri": None}),  # it may hold a password
        space=space,
        launch=launch.renewed(launch.source if is_file(launch.source) else None, Limits()),
    )
    plan.save()
    return plan


def newest_plan(name: str, uri: str | None = None) -> Plan | None:
    """The plan of the run of the study that was started last, for this store; None where this machine has none."""
    plans = [plan for plan in _plans(name) if uri is None or plan.store == without_password(uri)]
    return max(plans, key=lambda plan: plan.created_ms, default=None)


def plan_to_resume(name: str, uri: str | None) -> Plan:
    """As `newest_plan`.

    Raises:
        UserError: there is none.
    """
    plan = newest_plan(name, uri)
    if plan is None:
        store = f" for the tracking store {without_password(uri)}" if uri else ""
        raise UserError(
            f"This machine has no study '{name}' to resume{store} (looked in {home() / 'studies'}). Start it with "
            "`study run`; one that was started elsewhere is resumed there, or where its GO4ALIGN_HOME is."
        )
    return plan


def store_of(plan: Plan, uri: str | None) -> str:
    """The tracking store of a plan, whose password only `uri` or the environment may know.

    Raises:
        UserError: they name another store.
    """
    found = tracking_uri(uri or (None if "***" in plan.store else plan.store))
    if without_password(found) == plan.store:
        return found
    raise UserError(
        f"The study '{plan.study.name}' is kept in {plan.store}, not in {without_password(found)}. Name its store with "
        "--tracking-uri."
    )


def plan_of(name: str, study_run: str) -> Plan | None:
    """The plan of a run of the study; None where this machine has none."""
    return next((plan for plan in _plans(name) if plan.study_run == study_run), None)


def changes(plan: Plan, study: StudyFile, space: SearchSpace) -> list[str]:
    """What differs from the plan: `training.epochs`: 8 -> 12. What a command line sets, and the store, may."""
    free: dict[str, Any] = {"tracking_uri": None}
    limits = dict.fromkeys(Limits.model_fields)
    pairs = [
        ("", plan.study.model_copy(update=free), study.model_copy(update=free)),
        ("search space ", plan.space, space),
    ]
    found: list[str] = []
    for kind, before, now in pairs:
        old, new = (_flat(section.model_dump(mode="json")) for section in (before, now))
        found += [
            f"{kind}`{key}`: {old.get(key, 'absent')} -> {new.get(key, 'absent')}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key.removeprefix("budget.") not in limits
        ]
    return found


def _plans(name: str) -> Iterator[Plan]:
    if not is_name(name):
        return
    for path in (home() / "studies" / name).glob(f"*/{_FILE}"):
        try:
            yield Plan.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read: {error} It may be from another version: run the study anew with --again."
            ) from None


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Leaves by dotted key."""
    if isinstance(value, dict) and value:
        return {
            k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}" if prefix else key).items()
        }
    return {prefix: value if isinstance(value, str) else json.dumps(value)}
