"""Each study of a tracking store at a glance: how far it is, its best scores, what it has cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from study.mlflow_client import connect
from study.mlflow_queries import child_runs, parent_runs, ranked_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class StudySummary:
    """A study at a glance.

    Attributes:
        name: the study.
        created: when the run of it that counts (see `study.results`) began (UTC).
        status: "running" (also after a kill -9), "finished", "interrupted" or "failed".
        trials: number of trials by stage and status, `{"search": {"finished": 20, "stopped": 4}}`.
        best: the best score of a complete search trial by method, best method first; lower is better.
        wall_hours: hours that its sessions lasted; of a running study, since it began.
        trial_hours, gpu_hours: hours that its ended trials took, summed, and their share of GPUs.
    """

    name: str
    created: datetime
    status: str
    trials: dict[str, dict[str, int]]
    best: dict[str, float]
    wall_hours: float
    trial_hours: float
    gpu_hours: float


def studies(uri: str | None = None) -> list[StudySummary]:
    """All studies of a tracking store, newest first.

    Raises:
        UserError: the store cannot be read; see `study.mlflow_client.connect`.
    """
    client = connect(uri)
    return [_summary(client, parent) for parent in parent_runs(client).values()]


def _summary(client: MlflowClient, parent: Run) -> StudySummary:
    runs, now = list(child_runs(client, parent)), datetime.now(UTC)
    created = datetime.fromtimestamp(parent.info.start_time / 1000, UTC)
    status, metrics = parent.data.tags.get("status", "running"), parent.data.metrics
    wall_s = (now - created).total_seconds() if status == "running" else metrics.get("wall_s", 0.0)
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        counts.setdefault(run.data.tags["stage"], Counter())[run.data.tags["status"]] += 1
    scores: dict[str, float] = {}
    for run in ranked_runs(client, parent):
        scores.setdefault(run.data.tags["method"], run.data.metrics["score"])
    trial_hours = sum(run.data.metrics.get("seconds", 0.0) for run in runs) / 3600
    return StudySummary(
        name=parent.data.tags["study"],
        created=created,
        status=status,
        trials={stage: dict(statuses) for stage, statuses in counts.items()},
        best=scores,
        wall_hours=wall_s / 3600,
        trial_hours=trial_hours,
        gpu_hours=trial_hours * _gpus(parent),
    )


def _gpus(parent: Run) -> float:
    """The GPUs of one trial; NaN where another version wrote the study, which is no reason to list none at all."""
    try:
        return float(json.loads(parent.data.tags["study_file"])["resources"]["gpus"])
    except (KeyError, TypeError, ValueError):
        return math.nan
