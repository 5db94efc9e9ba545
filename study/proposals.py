"""Which trial comes next: a fixed list, or one Optuna study per method. Knows nothing of Ray."""

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from study.config import Reference, StudyFile
from study.space import SearchSpace, quiet_optuna
from study.trial import Trial, TrialResult


class Proposals(Protocol):
    """A source of trials that learns from their results."""

    total: int
    """How many trials there are at most."""

    def next(self) -> Trial | None:
        """The next trial to start, or None when there is none any more."""
        ...

    def report(self, trial: Trial, epoch: int, score: float) -> None:
        """An intermediate score."""
        ...

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """A trial has ended, in whatever way."""
        ...


class FixedTrials:
    """The given trials in order."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._waiting = deque(trials)
        self.total = len(self._waiting)

    def next(self) -> Trial | None:
        return self._waiting.popleft() if self._waiting else None

    def report(self, trial: Trial, epoch: int, score: float) -> None:
        """A fixed list learns nothing."""

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """A fixed list learns nothing."""


class OptunaProposals:
    """One seeded TPE search per method, all of equal budget; methods take turns.

    The sampler is seeded anew for every proposal from (study seed, method, number), so a proposal depends on the
    trials that have ended or run by then, not on how many proposals this process has made. With one trial at a time a
    search is reproducible; with several, which have ended by then depends on timing. The constant liar keeps trials
    that run at the same time apart. The first trial of every method is its published defaults.

    Args:
        study: what is studied; `budget` says when no new trial starts.
        space: what is searched.
        reference: single-task metrics that scores are relative to.
        storage: file of Optuna's journal storage.
    """

    def __init__(self, study: StudyFile, space: SearchSpace, reference: Reference, storage: Path) -> None:
        quiet_optuna()
        self._study, self._space, self._reference = study, space, reference
        backend = JournalStorage(JournalFileBackend(str(storage)))
        self._searches = {
            method: optuna.create_study(study_name=method, storage=backend, direction="minimize")
            for method in study.methods
        }
        for method, search in self._searches.items():
            search.enqueue_trial(space.published(study.method(method), study.training.lr))
        self._asked: dict[str, int] = dict.fromkeys(study.methods, 0)
        self._running: dict[str, optuna.Trial] = {}
        self._epochs, self._gpu_seconds, self._start = 0, 0.0, time.monotonic()
        self.total = study.budget.trials * len(study.methods)

    def next(self) -> Trial | None:
        method = min(self._asked, key=lambda name: self._asked[name])
        if self._asked[method] >= self._study.budget.trials or self._spent():
            return None
        number = self._asked[method]
        self._asked[method] += 1
        search = self._searches[method]
        search.sampler = TPESampler(
            seed=_seed(self._study.seeds.search, method, number),
            multivariate=True,
            constant_liar=True,
            n_startup_trials=max(3, self._study.budget.trials // 3),
        )
        asked = search.ask(self._space.distributions(self._study.method(method)))
        trial = Trial(
            id=f"search-{method}-{number:03d}",
            stage="search",
            configuration=self._study.configuration(method, asked.params),
            seed=self._study.seeds.search,
            origin="published" if number == 0 else "proposed",
            reference={"val": self._reference.val},
        )
        asked.set_user_attr("trial", trial.id)
        self._running[trial.id] = asked
        return trial

    def report(self, trial: Trial, epoch: int, score: float) -> None:
        self._epochs += 1
        self._running[trial.id].report(score, epoch)

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """Finished -> COMPLETE with its score; stopped by the scheduler -> PRUNED with its last score; else FAIL."""
        self._gpu_seconds += result.seconds * self._study.resources.gpus
        search, asked = self._searches[trial.method], self._running.pop(trial.id)
        if result.status == "finished" and result.score is not None and math.isfinite(result.score):
            search.tell(asked, result.score)
        else:
            search.tell(asked, state=TrialState.PRUNED if result.status == "stopped" else TrialState.FAIL)

    def _spent(self) -> bool:
        budget = self._study.budget
        hours = (time.monotonic() - self._start) / 3600
        return (
            (budget.epochs is not None and self._epochs >= budget.epochs)
            or (budget.hours is not None and hours >= budget.hours)
            or (budget.gpu_hours is not None and self._gpu_seconds / 3600 >= budget.gpu_hours)
        )


def _seed(study_seed: int, method: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{study_seed}/{method}/{number}".encode()).digest()[:4], "big")
