"""Each study of a tracking store at a glance: how far it is, its best scores, what it has cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from study.store.client import connect
from study.store.keys import BACKLOG, HEARTBEAT
from study.store.queries import StoredRun, read_studies

if TYPE_CHECKING:
    from mlflow.entities import Run

SILENT_S = 300.0
"""A driver tells once a minute that it lives; after this long without, it is not taken for alive."""


@dataclass(frozen=True)
class StudySummary:
    """A study at a glance.

    Attributes:
        name: the study.
        created: when the run of it that counts (see `study.results.stored`) began (UTC).
        status: "running", "finished", "interrupted" or "failed".
        silent_since: of a running study whose driver has given no sign of life for five minutes, when it gave the last
            one (UTC): it was killed, or its machine or the way from there to the store is down.
        backlog: how many events of a running study were not in the store by its last sign of life.
        trials: number of trials by stage and status, `{"search": {"finished": 20, "stopped": 4}}`.
        best: the best score of a complete search trial by method, best method first; lower is better.
        wall_hours: hours that its sessions lasted; of a running study, since it began.
        trial_hours, gpu_hours: hours that its ended trials took, summed, and their share of GPUs.
    """

    name: str
    created: datetime
    status: str
    silent_since: datetime | None
    backlog: int
    trials: dict[str, dict[str, int]]
    best: dict[str, float]
    wall_hours: float
    trial_hours: float
    gpu_hours: float


def studies(uri: str | None = None) -> list[StudySummary]:
    """All studies of a tracking store, newest first.

    Raises:
        UserError: the store cannot be read; see `study.store.client.connect`.
    """
    return [_summary(run) for run in read_studies(connect(uri))]


def _summary(stored: StoredRun) -> StudySummary:
    parent = stored.parent
    created = datetime.fromtimestamp(parent.info.start_time / 1000, UTC)
    status = parent.data.tags.get("status", "running")
    silent_since = _silent_since(parent.data.tags) if status == "running" else None
    lasted = ((silent_since or datetime.now(UTC)) - created).total_seconds()
    wall_s = lasted if status == "running" else parent.data.metrics.get("wall_s", 0.0)
    counts: dict[str, Counter[str]] = {}
    for run in stored.trials:
        counts.setdefault(run.data.tags["stage"], Counter())[run.data.tags["status"]] += 1
    scores: dict[str, float] = {}
    for run in stored.ranked:
        scores.setdefault(run.data.tags["method"], run.data.metrics["score"])
    trial_hours = sum(run.data.metrics.get("seconds", 0.0) for run in stored.trials) / 3600
    return StudySummary(
        name=parent.data.tags["study"],
        created=created,
        status=status,
        silent_since=silent_since,
        backlog=_whole_number(parent.data.tags, BACKLOG) if status == "running" else 0,
        trials={stage: dict(statuses) for stage, statuses in counts.items()},
        best=scores,
        wall_hours=wall_s / 3600,
        trial_hours=trial_hours,
        gpu_hours=trial_hours * _gpus(parent),
    )


def driver_state(tags: Mapping[str, str]) -> str:
    """What is to be said of a running study's driver and of what the store lacks, by the parent run's tags; "" where
    all is well, or the study does not run."""
    if tags.get("status", "running") != "running":
        return ""
    last = _silent_since(tags)
    silent = f"no sign of life since {last:%Y-%m-%d %H:%M} UTC" if last else ""
    backlog = _whole_number(tags, BACKLOG)
    return ", ".join(filter(None, [silent, f"{backlog} events behind" if backlog else ""]))


def _silent_since(tags: Mapping[str, str]) -> datetime | None:
    """The driver's last sign of life, if that was too long ago; studies of versions without any count as alive."""
    beat = _whole_number(tags, HEARTBEAT)
    last = datetime.fromtimestamp(beat / 1000, UTC)
    return last if beat and (datetime.now(UTC) - last).total_seconds() > SILENT_S else None


def _whole_number(tags: Mapping[str, str], tag: str) -> int:
    """0 where the tag is missing, or holds what nobody here wrote."""
    text = tags.get(tag, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _gpus(parent: Run) -> float:
    """The GPUs of one trial; NaN where another version wrote the study, which is no reason to list none at all."""
    try:
        return float(json.loads(parent.data.tags["study_file"])["resources"]["gpus"])
    except (KeyError, TypeError, ValueError):
        return math.nan
