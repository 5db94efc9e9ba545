"""The reference stage: what Delta m is relative to."""

from collections.abc import Sequence

from study.spec import Budgeted, Reference
from study.stages.progress import notices
from study.stages.session import Session
from study.store.references import references_if_reached
from study.trials.records import Trial, TrialResult
from study.trials.reference import measured_reference, published_reference
from study.trials.scores import Metrics


def run_reference(session: Session, stage: Budgeted = "search") -> Reference:
    """Published numbers, or a stage's reference runs, but for those that the tracker's store has already."""
    if session.study.reference == "published":
        return published_reference(session.benchmark)

    def find(keys: Sequence[str]) -> dict[str, Metrics]:
        store = session.tracker.uri
        return references_if_reached(keys, store, notify=notices(session.console)) if store else {}

    def train(trials: Sequence[Trial]) -> list[TrialResult]:
        return session.run_all("reference", trials, budget=stage, compared=False)

    return measured_reference(session.study, session.benchmark, find, train, stage)
