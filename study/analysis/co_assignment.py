"""Which tasks share a group: how often, how steadily, and in which trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP, WEIGHT = "train/group", "train/weight"
"""Quantities of `StoredStudy.epochs`."""

NO_GROUP = -1
"""Of a task without any label in an epoch."""


@dataclass(frozen=True)
class Ordered:
    """A co-assignment in the order of its dendrogram.

    Attributes:
        shares: [M, M] share of steps in one group (0 to 1), tasks in the order of the leaves.
        links: scipy's linkage of the tasks in their first order, of distances 1 - share, average.
        names: the tasks in that first order, which `links` counts.
    """

    shares: pd.DataFrame
    links: NDArray[np.float64]
    names: tuple[str, ...]


def mean_shares(co_assignment: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """[M, M] how often two tasks share a group: the mean over each trial's epochs, then over trials.

    Args:
        co_assignment: as of `StoredStudy`, of the trials that count, which count alike however long they were.
        tasks: rows and columns.
    """
    by_trial = co_assignment.groupby(["trial", "task", "other"])["share"].mean()
    shares = by_trial.groupby(["task", "other"]).mean().unstack("other")
    return shares.reindex(index=list(tasks), columns=list(tasks))


def ordered(shares: pd.DataFrame) -> Ordered:
    """Tasks that share groups side by side: average linkage of 1 - share, leaves in the best order.

    Args:
        shares: [M, M], see `mean_shares`; M of at least 2.
    """
    links = _links(shares)
    order = leaves_list(links)
    return Ordered(shares.iloc[order, order], links, tuple(map(str, shares.index)))


def groups_from(shares: pd.DataFrame, n_groups: int) -> dict[str, int]:
    """The tasks in this many groups, or fewer where shares tie, by cutting the dendrogram; numbered from 0 in task
    order."""
    labels = fcluster(_links(shares), n_groups, "maxclust")
    numbers: dict[int, int] = {}
    found = zip(map(str, shares.index), labels, strict=True)
    return {task: numbers.setdefault(label, len(numbers)) for task, label in found}


def _links(shares: pd.DataFrame) -> NDArray[np.float64]:
    distances = 1 - (shares.to_numpy() + shares.to_numpy().T) / 2
    np.fill_diagonal(distances, 0.0)
    found: NDArray[np.float64] = linkage(
        squareform(np.clip(distances, 0, None), checks=False), "average", optimal_ordering=True
    )
    return found


def group_table(epochs: pd.DataFrame) -> pd.DataFrame:
    """A row per trial and epoch, a column per task: the group it was in most often; tasks in their first order.

    Args:
        epochs: as of `StoredStudy`; trials without groups have no rows.
    """
    groups = epochs[epochs["quantity"] == GROUP]
    wide = groups.pivot(index=["trial", "epoch"], columns="task", values="value")
    return wide.reindex(columns=list(dict.fromkeys(groups["task"])))


def n_groups(groups: pd.DataFrame) -> pd.Series[int]:
    """How many different groups a trial's tasks were in most often, by trial and epoch.

    Args:
        groups: see `group_table`.
    """
    return groups.where(groups != NO_GROUP).nunique(axis=1).rename("n_groups")


def stability(groups: pd.DataFrame) -> pd.Series[float]:
    """Adjusted Rand index between each epoch's groups and those of the epoch before, by trial and epoch (from the
    second). 1 where no task moved; about 0 where groups are as good as drawn anew.

    Args:
        groups: see `group_table`.
    """
    found: dict[tuple[str, int], float] = {}
    for trial, own in groups.groupby(level="trial"):
        rows = own.droplevel("trial").sort_index()
        for (_, before), (epoch, now) in zip(rows.iterrows(), list(rows.iterrows())[1:], strict=False):
            found[str(trial), int(epoch)] = float(adjusted_rand_score(before, now))  # type: ignore[call-overload]
    index = pd.MultiIndex.from_tuples(found, names=["trial", "epoch"]) if found else None
    return pd.Series(list(found.values()), index=index, name="stability", dtype="float64")


def agreement(groups: pd.DataFrame) -> pd.Series[float]:
    """Mean adjusted Rand index between the trials' groups, pair by pair, by epoch: whether seeds find the same.

    Args:
        groups: see `group_table`, of the trials that are compared; epochs that only one has are left out.
    """
    found: dict[int, float] = {}
    for epoch, own in groups.groupby(level="epoch"):
        pairs = list(combinations(own.to_numpy(), 2))
        if pairs:
            found[int(epoch)] = float(np.mean([adjusted_rand_score(*pair) for pair in pairs]))  # type: ignore[call-overload]
    return pd.Series(found, name="agreement", dtype="float64").rename_axis("epoch")


def best_against_rest(
    co_assignment: pd.DataFrame, scores: pd.Series[float], tasks: Sequence[str], share: float = 0.1
) -> pd.DataFrame:
    """Each pair of tasks: how often it shares a group in the best trials and in the rest.

    Args:
        co_assignment: as of `StoredStudy`.
        scores: by trial, lower is better; only these trials count.
        tasks: the tasks.
        share: of trials that are the best, at least one.

    Returns:
        Columns `task`, `other`, `best`, `rest`, `difference`, the largest differences first; empty with fewer than two
        trials or tasks.
    """
    grouped = scores[scores.index.isin(co_assignment["trial"].unique())].sort_values()
    n_best = max(1, round(share * len(grouped)))
    if len(grouped) <= n_best or len(tasks) < 2:
        return pd.DataFrame(columns=["task", "other", "best", "rest", "difference"])
    parts = [
        mean_shares(co_assignment[co_assignment["trial"].isin(own)], tasks)
        for own in (grouped.index[:n_best], grouped.index[n_best:])
    ]
    rows = [
        {"task": a, "other": b, "best": parts[0].loc[a, b], "rest": parts[1].loc[a, b]}
        for a, b in combinations(tasks, 2)
    ]
    table = pd.DataFrame(rows)
    table["difference"] = table["best"] - table["rest"]
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
