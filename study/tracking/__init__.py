"""What a study does, from the driver to a journal on disk and from there to MLflow; it never holds up training."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.tracking.journal_tracker import JournalTracker
    from study.tracking.sync import sync_journal
    from study.tracking.tracker import StudyStatus, Tracker

__all__ = ["JournalTracker", "StudyStatus", "Tracker", "sync_journal"]

__getattr__ = lazy_names(
    __name__,
    {
        "JournalTracker": "journal_tracker",
        "StudyStatus": "tracker",
        "Tracker": "tracker",
        "sync_journal": "sync",
    },
)
