"""How far a study is: per method what is done, runs and failed, the trials that run now, and the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from study.results.summaries import driver_state

if TYPE_CHECKING:
    from study.results.stored import StoredStudy


@dataclass(frozen=True)
class MethodOutlook:
    """The trials of a method.

    Attributes:
        method: its name.
        done, running, stopped, failed: how many trials.
        best: the lowest score so far, running trials included; None where there is none.
    """

    method: str
    done: int = 0
    running: int = 0
    stopped: int = 0
    failed: int = 0
    best: float | None = None


@dataclass(frozen=True)
class RunningTrial:
    """A trial that runs.

    Attributes:
        trial: its id.
        epoch, epochs: how far it is.
        seconds: since it began.
        score: so far, lower is better; None before its first epoch.
    """

    trial: str
    epoch: int
    epochs: int
    seconds: float
    score: float | None = None


@dataclass(frozen=True)
class Outlook:
    """A stage of a study at one moment.

    Attributes:
        stage: search, final and so on.
        ended, total: trials of it; `total` is None where that is not known.
        methods: in the order they began.
        running: the trials that run.
        trial_s: mean seconds of the trials that ended; None where none has.
        tracking: what is to be said of the store and the driver; "" where all is well.
    """

    stage: str
    ended: int
    total: int | None
    methods: tuple[MethodOutlook, ...]
    running: tuple[RunningTrial, ...]
    trial_s: float | None = None
    tracking: str = ""

    @property
    def left_s(self) -> float | None:
        """Seconds until the stage's end, if trials go on as they did; None where that cannot be told yet."""
        each = self.trial_s or _from_epochs(self.running)
        if each is None or self.total is None or not self.running:
            return None
        waiting = max(0, self.total - self.ended - len(self.running))
        begun = sum(1 - one.epoch / max(one.epoch, one.epochs, 1) for one in self.running)
        return each * (waiting + begun) / len(self.running)


def _from_epochs(running: Sequence[RunningTrial]) -> float | None:
    """Seconds of a whole trial, where only epochs have ended."""
    found = [one.seconds / one.epoch * one.epochs for one in running if one.epoch]
    return fmean(found) if found else None


def outlook_of(stored: StoredStudy) -> Outlook:
    """How far a study is by its store, in the stage that began last.

    Args:
        stored: the study, as read now.
    """
    trials = stored.trials
    stage = str(trials["stage"].iloc[-1]) if len(trials) else "search"
    own = trials[trials["stage"] == stage]
    methods = []
    for method, of_method in own.groupby("method", sort=False):
        counts = of_method["status"].value_counts()
        scores: list[float] = of_method["score"].dropna().tolist() if stage != "reference" else []
        number = {status: int(counts.get(status, 0)) for status in ("running", "stopped", "failed")}
        done = int(counts.get("finished", 0))
        methods.append(MethodOutlook(str(method), done, **number, best=min(scores, default=None)))
    now = datetime.now(UTC)
    running = [
        RunningTrial(
            trial=str(row["trial"]),
            epoch=stored.epoch_of(str(row["run_id"])),
            epochs=int(row["params.training.epochs"]),
            seconds=(now - row["started"].to_pydatetime()).total_seconds(),
            score=None if row["score"] != row["score"] or stage == "reference" else float(row["score"]),
        )
        for row in own[own["status"] == "running"].to_dict("records")
    ]
    ended = own[own["status"].isin(["finished", "stopped", "failed"])]
    whole = own.loc[own["status"] == "finished", "seconds"]
    budget = stored.study.budget
    total = budget.trials * len(stored.study.methods)
    return Outlook(
        stage=stage,
        ended=len(ended),
        total=min(total, budget.max_trials or total) if stage == "search" else None,
        methods=tuple(methods),
        running=tuple(running),
        trial_s=float(whole.mean()) if len(whole) else None,
        tracking=driver_state(stored.tags),
    )
