"""Which trial comes next: a fixed list, or one Optuna study per method. Knows nothing of Ray."""

import hashlib
import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState

from study.search.distributions import Distributions, distributions
from study.search.gain import expected_gain
from study.search.samplers import check_grid, grid, sampler_of, spread
from study.search.storage import LENT, ask, begin_search, open_storage, own_trials
from study.spec.configuration import Reference
from study.spec.search_space import SearchSpace
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult


class TrialSource(Protocol):
    """A source of trials that learns from their results."""

    total: int
    """How many trials there are at most."""
    done: int
    """How many of them ended in earlier sessions."""

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
        self.done = 0

    def next(self) -> Trial | None:
        return self._waiting.popleft() if self._waiting else None

    def report(self, trial: Trial, epoch: int, score: float) -> None:
        """A fixed list learns nothing."""

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """A fixed list learns nothing."""


@dataclass(frozen=True)
class Spent:
    """What earlier sessions with the study, and the present one before its search, have used of the budget."""

    epochs: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0


class OptunaSearch:
    """One seeded search per method, all of equal budget; methods take turns.

    The sampler is seeded anew for every proposal from (study seed, method, number), so a proposal depends on the
    trials that have ended or run by then, not on how many proposals this process has made. With one trial at a time a
    search is reproducible; with several, which have ended by then depends on timing. TPE's constant liar keeps trials
    that run at the same time apart. The first trial of every method is its defaults.

    A search goes on with what is in `storage`: trials that were running are proposed first, under their ids.

    Args:
        study: what is studied; `budget` says when no new trial starts.
        space: what is searched.
        reference: single-task metrics that scores are relative to.
        storage: file of Optuna's journal storage; no other process may have it open.
        warm_start: trials of an earlier study per method, that the search learns from; ignored by one that has begun.
        spent: of the budget.
    """

    def __init__(
        self,
        study: StudyFile,
        space: SearchSpace,
        reference: Reference,
        storage: Path,
        *,
        warm_start: Mapping[str, Sequence[optuna.trial.FrozenTrial]] = MappingProxyType({}),
        spent: Spent = Spent(),
    ) -> None:
        self._study = study
        self._space = space
        self._reference = reference
        self._spent = spent
        self._searches: dict[str, optuna.Study] = {}
        self._asked: dict[str, int] = {}
        self._grids: dict[str, list[dict[str, Any]]] = {}
        self._interrupted = deque[tuple[str, int]]()
        self.done = 0
        opened = open_storage(storage)
        for method in study.methods:
            section = study.method(method)
            search = begin_search(
                opened,
                method,
                distributions(space, section),
                defaults=space.defaults(section, study.training.lr),
                lent=warm_start.get(method, ()),
            )
            own = own_trials(search)
            self._searches[method] = search
            if study.search.sampler == "grid":
                seed = _seed(study.seeds.search, method, 0)
                self._grids[method] = grid(distributions(space, section), study.search.levels, seed)
            self._asked[method] = len(own)
            self.done += sum(trial.state.is_finished() for trial in own)
            self._interrupted += [(method, n) for n, trial in enumerate(own) if trial.state == TrialState.RUNNING]
        self._running: dict[str, tuple[optuna.Trial, int]] = {}
        self._epochs = 0
        self._gpu_seconds = 0.0
        self._start = time.monotonic()
        budget = study.budget
        self.total = min(budget.trials * len(study.methods), budget.max_trials or sys.maxsize)

    def next(self) -> Trial | None:
        if self._interrupted:
            return self._propose(*self._interrupted.popleft())
        method = min(filter(self.pays, self._asked), key=lambda name: self._asked[name], default=None)
        if method is None or self._asked[method] >= self._study.budget.trials or self._is_spent():
            return None
        self._asked[method] += 1
        return self._propose(method, self._asked[method] - 1)

    def _propose(self, method: str, number: int) -> Trial:
        search = self._searches[method]
        seed = self._study.seeds.search
        sampler = sampler_of(self._study.search, _seed(seed, method, number))
        searched = distributions(self._space, self._study.method(method))
        asked, last_step = ask(search, number, searched, sampler, self._planned(method, number, searched))
        trial = Trial(
            id=f"search-{method}-{number:03d}",
            stage="search",
            configuration=self._study.configuration(method, asked.params),
            seed=self._study.seeds.search,
            origin="default" if number == 0 else "proposed",
            reference={"val": self._reference.val},
        )
        asked.set_user_attr("trial", trial.id)
        self._running[trial.id] = asked, last_step
        return trial

    def _planned(self, method: str, number: int, searched: Distributions) -> dict[str, Any] | None:
        """The values of a trial that are chosen without looking at earlier ones; None where the sampler chooses."""
        options = self._study.search
        if options.sampler == "grid":
            every = self._grids[method]
            return every[number - 1] if 1 <= number <= len(every) else None
        if options.start == "sobol" and 1 <= number < options.startup:
            return spread(searched, _seed(self._study.seeds.search, method, 0), number - 1)
        return None

    def report(self, trial: Trial, epoch: int, score: float) -> None:
        asked, last = self._running[trial.id]
        if epoch > last:  # what Optuna knows from before a kill is not reported twice
            self._epochs += 1
            asked.report(score, epoch)
            self._running[trial.id] = asked, epoch

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """Finished -> COMPLETE with its score; stopped by the scheduler -> PRUNED with its last score; else FAIL."""
        self._gpu_seconds += result.seconds * self._study.resources_of("search").gpus
        search = self._searches[trial.method]
        asked, _ = self._running.pop(trial.id)
        if result.status == "finished" and result.score is not None and math.isfinite(result.score):
            search.tell(asked, result.score)
        else:
            search.tell(asked, state=TrialState.PRUNED if result.status == "stopped" else TrialState.FAIL)

    def asked(self, method: str) -> int:
        """How many trials of a method there are."""
        return self._asked[method]

    def expected_gain(self, method: str, trials: int) -> float | None:
        """What further trials of a method are expected to bring, see `study.search.gain`."""
        complete = self._searches[method].get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        own = [trial for trial in complete if LENT not in trial.user_attrs]
        return expected_gain([trial.value for trial in own if trial.value is not None], trials)

    def pays(self, method: str) -> bool:
        """Whether a method's further trials are worth their cost, by the budget's target."""
        if (target := self._study.budget.target) is None:
            return True
        gain = self.expected_gain(method, target.over_trials)
        return gain is None or gain >= target.min_gain

    def _is_spent(self) -> bool:
        budget = self._study.budget
        before = self._spent
        hours = (before.seconds + time.monotonic() - self._start) / 3600
        return (
            (budget.max_trials is not None and sum(self._asked.values()) >= budget.max_trials)
            or (budget.epochs is not None and before.epochs + self._epochs >= budget.epochs)
            or (budget.hours is not None and hours >= budget.hours)
            or (budget.gpu_hours is not None and (before.gpu_seconds + self._gpu_seconds) / 3600 >= budget.gpu_hours)
        )


def check_grids(study: StudyFile, space: SearchSpace) -> None:
    """Raise `UserError` where a grid is wanted that nobody would train."""
    if study.search.sampler == "grid":
        for method in study.methods:
            check_grid(distributions(space, study.method(method)), study.search.levels, method)


def _seed(study_seed: int, method: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{study_seed}/{method}/{number}".encode()).digest()[:4], "big")
