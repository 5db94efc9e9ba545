"""The test of grouping: every arm at the learning rates of a small grid, then at its best over the seeds."""

from collections.abc import Sequence

from rich.console import Console

from go4align.errors import RunFailedError
from study.results import (
    ARMS,
    N_SEEDS,
    GroupingResult,
    Known,
    StoredStudy,
    chosen_lrs,
    grouping_result,
    known_trials,
    lr_trials,
    open_study,
    question,
    seed_trials,
)
from study.spec import Budgeted
from study.stages.final import final_seeds
from study.stages.plan import GroupingPlan, plan_of
from study.stages.progress import notices
from study.stages.session import Session, open_session
from study.tracking import JournalTracker
from study.trials.records import Trial, TrialResult


def run_grouping(asked: GroupingPlan, store: str, *, address: str | None, console: Console | None) -> GroupingResult:
    """Train what is missing of a study's test of grouping, and say what was found.

    With nothing left to train this only reads, wherever the trials were trained.

    Raises:
        UserError: the study is not in the store, or has no grouping to test.
        RunFailedError: too many of the trials failed.
    """
    stored = open_study(asked.study, store)
    test = _Test(asked, stored)
    if test.missing():
        say = notices(console)
        tracker = JournalTracker(stored.study, store, study_run=stored.study_run, notify=say)
        with open_session(stored.study, tracker, address=address, console=console) as session:
            test.train(session)
    return test.result()


class _Test:
    """The trials of a test, those that the store has and those that were trained now."""

    def __init__(self, asked: GroupingPlan, stored: StoredStudy) -> None:
        self._asked = asked
        self._stored = stored
        self._question = question(stored)
        self._seeds = final_seeds(stored.study.seeds, N_SEEDS if asked.seeds is None else asked.seeds)
        self._lr_trials = lr_trials(stored, self._question)
        self._fresh: dict[str, tuple[Trial, TrialResult]] = {}

    @property
    def _known(self) -> Known:
        return known_trials(self._stored, self._fresh.values())

    @property
    def _seed_trials(self) -> list[Trial]:
        lrs = chosen_lrs(self._lr_trials, self._known.scores)
        return seed_trials(self._stored, self._question, lrs, self._seeds)

    def missing(self) -> list[Trial]:
        """Trials of the next step that are not known: the grid's, and once that is known the seeds'."""
        scores = self._known.scores
        grid = [trial for trial in self._lr_trials if trial.id not in scores]
        return grid or [trial for trial in self._seed_trials if trial.id not in scores]

    def train(self, session: Session) -> None:
        """Both steps."""
        plan = plan_of(self._stored.name, self._stored.study_run)
        if plan:
            plan.saved_with(grouping=self._asked)
        self._run(session, [trial for trial in self._lr_trials if trial.id not in self._known.scores], "search")
        if len(chosen_lrs(self._lr_trials, self._known.scores)) < len(ARMS):
            raise RunFailedError(
                "An arm of the test failed at every learning rate of its grid, see above. "
                f"Again: study groups {self._stored.name} --test"
            )
        self._run(session, [trial for trial in self._seed_trials if trial.id not in self._known.scores], "final")
        if plan:
            plan.saved_with(grouping=None)

    def _run(self, session: Session, trials: Sequence[Trial], budget: Budgeted) -> None:
        by_id = {trial.id: trial for trial in trials}
        for result in session.run_all("grouping", trials, budget=budget):
            self._fresh[result.trial] = by_id[result.trial], result

    def result(self) -> GroupingResult:
        found = grouping_result(self._stored, self._seeds, self._known)
        if found is None:
            raise RunFailedError(
                f"No trial of the test finished, see above. Again: study groups {self._stored.name} --test"
            )
        return found
