"""A search replayed: the real proposals and the real decisions to stop, only the training is looked up."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count

from ray.tune.schedulers import TrialScheduler

from study.search.source import TrialSource
from study.spec.search_sections import Scheduler
from study.trials.history import History
from study.trials.records import Status, Trial, TrialResult
from study.tuning.asha import MethodwiseASHA

Stops = Callable[[Trial, int, float], bool]
"""Whether a trial is stopped after an epoch with its best score so far."""


@dataclass(frozen=True)
class Replayed:
    """A trial of a replayed search.

    Attributes:
        trial: what was proposed.
        status: how it ended; one whose scores end early has failed.
        score: its best, after `epochs` epochs.
        cost: epochs that all trials together had trained by its end.
    """

    trial: Trial
    status: Status
    score: float
    epochs: int
    cost: int


def asha(options: Scheduler) -> Stops:
    """The decisions of a study with this scheduler."""
    if options.name == "fifo":
        return lambda trial, epoch, score: False
    scheduler = MethodwiseASHA(options, History())

    def stops(trial: Trial, epoch: int, score: float) -> bool:
        epochs = trial.configuration.training.epochs
        return scheduler.decide(trial.method, trial.id, epochs, epoch, score) == TrialScheduler.STOP

    return stops


def replay(
    proposals: TrialSource, scores: Callable[[Trial], Sequence[float]], stops: Stops, *, at_once: int = 1
) -> list[Replayed]:
    """Run a search without training; returns its trials in the order they ended.

    Every epoch of every trial takes equally long, and trials that run at the same time take turns in the order they
    began.

    Args:
        proposals: the search.
        scores: of a trial, what selection watches after each epoch, lower is better; fewer than its epochs where it
            diverged.
        stops: see `asha`.
        at_once: how many trials run at the same time.
    """
    running: list[_Running] = []
    order = count()
    ended: list[Replayed] = []
    now = cost = 0
    while True:
        while len(running) < at_once and (trial := proposals.next()) is not None:
            best = list(accumulate(scores(trial), min))
            heapq.heappush(running, _Running(now + 1, next(order), trial, best))
        if not running:
            return ended
        one = heapq.heappop(running)
        now = one.time
        cost += 1
        one.epoch += 1
        status = _after_epoch(one, proposals, stops)
        if status is None:
            one.time += 1
            heapq.heappush(running, one)
            continue
        score = one.best[min(one.epoch, len(one.best)) - 1] if one.best else float("nan")
        ended.append(Replayed(one.trial, status, score, one.epoch, cost))
        proposals.finish(one.trial, TrialResult(one.trial.id, status, score, epochs=one.epoch))


@dataclass(order=True)
class _Running:
    """A trial that trains its next epoch until `time`."""

    time: int
    order: int
    trial: Trial = field(compare=False)
    best: Sequence[float] = field(compare=False)
    epoch: int = field(default=0, compare=False)


def _after_epoch(one: _Running, proposals: TrialSource, stops: Stops) -> Status | None:
    """Report an epoch; how the trial ends with it, or None."""
    if one.epoch > len(one.best):
        return "failed"
    score = one.best[one.epoch - 1]
    proposals.report(one.trial, one.epoch, score)
    stop = stops(one.trial, one.epoch, score)
    if one.epoch >= one.trial.configuration.training.epochs:
        return "finished"
    return "stopped" if stop else None
