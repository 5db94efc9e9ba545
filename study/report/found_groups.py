"""The groups that a method found in a study, as a table for the terminal and as a study file's variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from go4align.errors import UserError, unknown_name
from study.analysis.co_assignment import group_table, groups_from, mean_shares, n_groups
from study.report.figure import Section
from study.report.findings import Findings
from study.report.sections import grouping
from study.spec import to_yaml

if TYPE_CHECKING:
    import pandas as pd

    from study.results import StoredStudy

VARIANT = "found-groups"


@dataclass(frozen=True)
class FoundGroups:
    """What a study's trials agree on.

    Attributes:
        study: its name.
        method: whose groups.
        trials: that they are the mean of.
        what: what these trials are.
        labels: group by task, numbered from 0 in task order.
        shares: [M, M], how often two tasks shared a group (0 to 1).
        options: of the method, with these groups fixed.
        section: what the report says of the study's groups.
    """

    study: str
    method: str
    trials: tuple[str, ...]
    what: str
    labels: dict[str, int]
    shares: pd.DataFrame
    options: dict[str, Any]
    section: Section

    @property
    def as_yaml(self) -> str:
        """A study file's `variants`, in which these groups are fixed."""
        named = ", ".join(f"{task}: {label}" for task, label in self.labels.items())
        head = (
            f"# Groups that {self.method} found in the study {self.study}: mean co-assignment of {self.what} "
            f"({', '.join(self.trials)}),\n# cut into {len(set(self.labels.values()))}. {named}\n"
            f"# Copy into a study file, and `{VARIANT}` into its `methods`.\n"
        )
        return head + to_yaml({"variants": {VARIANT: self.options}})


def find_groups(stored: StoredStudy, method: str | None = None) -> FoundGroups:
    """The groups of a method's tuned final runs; of its best search trial where there are none yet.

    The tasks are cut into as many groups as the method used: K, or the mean number over epochs that "auto" chose.

    Args:
        stored: the study.
        method: whose; default the first with groups.

    Raises:
        UserError: no method of the study has groups, or this one has none; no trial has ended; or the benchmark has a
            single task.
    """
    findings = Findings(stored)
    section = grouping.section(findings)
    if section is None:
        raise UserError(
            f"No trial of the study '{stored.name}' that has ended has groups. Run one of a method that groups tasks: "
            "go4align, or a variant of it."
        )
    if method is not None and method not in findings.grouped:
        raise unknown_name(f"method with groups of the study '{stored.name}'", method, findings.grouped)
    method = method or findings.grouped[0]
    if len(findings.tasks) < 2:
        raise UserError(f"The study '{stored.name}' has one task: there is nothing to group.")
    trials, what = grouping.chosen_trials(findings, method)
    if not trials:
        raise UserError(f"No trial of '{method}' that could be chosen kept its groups. Let a search trial end first.")
    together, epochs = stored.co_assignment, stored.epochs
    shares = mean_shares(together[together["trial"].isin(trials)], findings.tasks).fillna(0.0)
    count = round(float(n_groups(group_table(epochs[epochs["trial"].isin(trials)])).mean()))
    labels = groups_from(shares, max(1, count))
    options = _fixed(stored, trials[0], labels)
    return FoundGroups(stored.name, method, tuple(trials), what, labels, shares, options, section)


def _fixed(stored: StoredStudy, trial: str, labels: dict[str, int]) -> dict[str, Any]:
    """A trial's method with its groups given instead of found."""
    section = stored.configuration(trial).method
    found = ("clustering", "clustering_options", "n_groups")
    kept = {key: value for key, value in section.options.items() if key not in found}
    given = {"clustering": "given", "clustering_options": {"labels": list(labels.values())}, "n_groups": "auto"}
    return {"name": section.name, **kept, **given}
