"""`plan.json` in the folder of a run of a study: what it was started from, so that it can be resumed as it was."""

import json
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field

from go4align.disk import write_whole
from go4align.errors import UserError
from go4align.home import home_folder
from study.home import home
from study.spec import BestFile, SearchSpace, Section, StudyFile, is_name
from study.stages.launch import LIMITS, Launch
from study.store.uri import hides_password, store_name, tracking_uri, uri_of, without_password

_FILE = "plan.json"


class FinalPlan(Section):
    """Final runs that were asked for.

    Attributes:
        source: a study's name, or the file they were asked from.
        frozen: the tuned configurations.
        seeds: how many; None for the study file's.
    """

    source: str
    frozen: BestFile
    seeds: int | None = None


class GroupingPlan(Section):
    """A test of grouping that was asked for.

    Attributes:
        study: whose groups.
        seeds: how many; None for the default.
    """

    study: str
    seeds: int | None = None


class Plan(Section):
    """What a run of a study was started from, and how far it is.

    Attributes:
        study_run: names it.
        created_ms: Unix time in milliseconds.
        store: its tracking store, see `study.store.uri.store_name`.
        study, space: as they are in force.
        launch: how it was asked for.
        code: what trained it, see `study.trials.code.code_in_use`.
        searched: whether its search has ended.
        final: the final runs that have begun and not ended.
        grouping: the test of grouping that has begun and not ended.
        goes_on: of a study that trains what another has tuned, the command that made it; empty elsewhere.
    """

    study_run: str
    created_ms: int
    store: str
    study: StudyFile
    space: SearchSpace
    launch: Launch
    code: dict[str, str] = Field(default_factory=dict)
    searched: bool = False
    final: FinalPlan | None = None
    grouping: GroupingPlan | None = None
    goes_on: str = ""

    def save(self) -> None:
        """Write it to the run's folder, whole or not at all; without tracking URIs, which may hold a password.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.
        """
        folder = home() / "studies" / self.study.name / self.study_run
        write_whole(folder / _FILE, self.model_dump_json(indent=1, exclude={"study": {"tracking_uri"}}))

    def saved_with(self, **values: Any) -> "Plan":
        """A copy with other values, saved."""
        plan = self.model_copy(update=values)
        plan.save()
        return plan


def begin_plan(
    study_run: str,
    store: str,
    study: StudyFile,
    space: SearchSpace,
    launch: Launch,
    code: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The plan of a run that begins now, saved."""
    plan = Plan(
        study_run=study_run,
        created_ms=time.time_ns() // 1_000_000,
        store=store_name(store),
        study=study,
        space=space,
        launch=launch.located(),
        code=dict(code),
    )
    plan.save()
    return plan


def newest_plan(name: str, store: str | None = None) -> Plan | None:
    """The plan of the run of the study that was started last, for this store; None where this machine has none."""
    plans = [plan for plan in _plans(name) if store is None or plan.store == store_name(store)]
    return max(plans, key=lambda plan: plan.created_ms, default=None)


def plan_to_resume(name: str, store: str | None) -> Plan:
    """As `newest_plan`.

    Raises:
        UserError: there is none.
    """
    plan = newest_plan(name, store)
    if plan is None:
        of = f" for the tracking store {without_password(store)}" if store else ""
        raise UserError(
            f"This machine has no study '{name}' to resume{of} (looked in {home() / 'studies'}). Start it with "
            "`study run`; one that was started elsewhere is resumed there, or where its GO4ALIGN_HOME is."
        )
    return plan


def store_of(plan: Plan, explicit: str | None, in_file: str | None) -> str:
    """The store of a plan, with the password that the plan does not keep.

    Args:
        plan: what to go on with.
        explicit: the tracking URI that was asked for, if one was.
        in_file: the study file's.

    Raises:
        UserError: another store is named, or none is and the password is unknown.
    """
    kept = in_file if hides_password(plan.store) else uri_of(plan.store)
    found = tracking_uri(explicit or kept)
    if store_name(found) == plan.store:
        return found
    raise UserError(
        f"The study '{plan.study.name}' is kept in {uri_of(plan.store)}, not in {without_password(found)}. Name its "
        "store with --tracking-uri."
    )


def plan_of(name: str, study_run: str) -> Plan | None:
    """The plan of a run of the study; None where this machine has none."""
    return next((plan for plan in _plans(name) if plan.study_run == study_run), None)


def differences(
    plan: Plan, study: StudyFile, space: SearchSpace, code: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """What differs from the plan: `training.epochs`: 8 -> 12. What a command line sets, and the store, may; a default
    that is written out is no change. `code` is compared where the plan has any and some is given."""
    without_store = {"tracking_uri": None}
    then = plan.study.model_copy(update=without_store)
    today = study.model_copy(update=without_store)
    pairs = [
        ("", then.written_out, today.written_out),
        ("code of ", plan.code if code else {}, dict(code) if plan.code else {}),
        ("search space ", plan.space.model_dump(mode="json"), space.model_dump(mode="json")),
    ]
    free = {f"budget.{key}" for key in LIMITS.values()}
    found: list[str] = []
    for kind, before, now in pairs:
        old = _flat(before)
        new = _flat(now)
        found += [
            f"{kind}`{key}`: {old.get(key, 'absent')} -> {new.get(key, 'absent')}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in free
        ]
    return found


def _plans(name: str) -> Iterator[Plan]:
    if not is_name(name):
        return
    for path in (home_folder() / "studies" / name).glob(f"*/{_FILE}"):
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
