"""The `Tracker` seam: what is told of a study while it runs. Behind a journal in `journal_tracker`."""

from typing import Literal

from go4align.training import EpochRecord
from study.trials.history import History
from study.trials.records import Trial, TrialResult

StudyStatus = Literal["finished", "interrupted", "failed"]


class Tracker:
    """Is told on the driver what a study does, and must return at once. This one takes it all in and keeps nothing.

    A session opens and closes one tracker and tells it of the study as a whole; the stages tell it, and whoever else
    listens to their trials, of those. What makes one raise an `OSError` (a full disk: it could not be kept) stops the
    study, which can be resumed.

    Attributes:
        study_run: names the run of the study that is told of.
        uri: the tracking store that has it in the end, where single-task references are looked for, too; may be empty.
    """

    study_run: str = "untracked"
    uri: str = ""

    def open(self) -> History:
        """Begin a run of the study, or go on with one; what earlier sessions with it left.

        Raises:
            UserError: the folder cannot be written to, or another process runs this study.
        """
        return History()

    def start(self, trial: Trial) -> None:
        """A trial begins, or begins again: a known id goes on in its run."""

    def log(self, trial_id: str, record: EpochRecord) -> None:
        """An epoch ended. An epoch that is known already (trained again after a kill) is ignored."""

    def finish(self, trial_id: str, result: TrialResult) -> None:
        """A trial ended."""

    def artifact(self, name: str, data: bytes | str) -> None:
        """Keep a file (`summary.html`, `tables/final.csv`) with the study."""

    def flush(self, timeout_s: float = 30.0) -> int:
        """Wait, so that readers see all of it; returns how many events are still on their way."""
        return 0

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        """The study ended, or paused ("interrupted"); trials without a result are marked interrupted.

        A resumed session without search trials leaves a search that failed or was interrupted at that.

        Returns:
            How many events readers do not see yet.
        """
        return 0
