"""The `Tracker` seam: what a study tells while it runs. In memory here; behind a journal in `study.mlflow_tracker`."""

from typing import Literal, Protocol

from go4align.training import EpochRecord
from study.config import StudyFile
from study.history import History, Report
from study.trial import Trial, TrialResult

StudyStatus = Literal["finished", "interrupted", "failed"]


class Tracker(Protocol):
    """Told what a study does, on the driver. `start`, `log`, `finish` wait for no network, and nothing but a full disk
    makes them raise (an `OSError`): what they are told could not be kept, so the study stops, and can be resumed."""

    def open(
        self,
        study: StudyFile,
        *,
        space_hash: str = "",
        source: str | None = None,
        resume: bool | str = False,
        changed: bool = False,
    ) -> None:
        """Begin a run of the study, or go on with one.

        Args:
            study: the validated study file.
            space_hash: of the search spaces, to refuse resuming with others; a resumed run keeps its own.
            source: the study file's text, with its comments.
            resume: the run to go on with; True for the one that readers of the store take, which is the newest that has
                results, else the newest, if there is one. It keeps its study file and hashes,
            changed: unless they were changed on purpose since.

        Raises:
            UserError: a bad tracking URI or folder, or another process runs this study.
        """

    def history(self) -> History:
        """What earlier sittings with this run of the study left."""

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

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        """The study ended, or paused ("interrupted"); trials without a result are marked interrupted.

        A resumed session without search trials leaves a search that failed or was interrupted at that.

        Returns:
            How many events readers do not see yet.
        """


class MemoryTracker:
    """Keeps everything in lists and dictionaries."""

    def __init__(self) -> None:
        self.study: StudyFile | None = None
        self.status: StudyStatus | Literal["running"] | None = None
        self.trials: dict[str, Trial] = {}
        self.records: dict[str, list[EpochRecord]] = {}
        self.results: dict[str, TrialResult] = {}
        self.artifacts: dict[str, bytes | str] = {}

    def open(
        self,
        study: StudyFile,
        *,
        space_hash: str = "",
        source: str | None = None,
        resume: bool | str = False,
        changed: bool = False,
    ) -> None:
        if not resume:
            self.__init__()  # type: ignore[misc]
        self.study, self.status = study, "running"

    def history(self) -> History:
        trials = {trial: self.trials[trial] for trial in self.trials}
        return History(
            {key: trial.stage for key, trial in trials.items()},
            {key: trial.configuration.model_dump_json() for key, trial in trials.items()},
            [
                Report(key, trials[key].method, record.epoch, record.best, record.wall_s)
                for key, records in self.records.items()
                for record in records
            ],
            dict(self.results),
        )

    def start(self, trial: Trial) -> None:
        self.trials.setdefault(trial.id, trial)
        self.results.pop(trial.id, None)

    def log(self, trial_id: str, record: EpochRecord) -> None:
        records = self.records.setdefault(trial_id, [])
        if all(known.epoch != record.epoch for known in records):
            records.append(record)

    def finish(self, trial_id: str, result: TrialResult) -> None:
        self.results[trial_id] = result

    def artifact(self, name: str, data: bytes | str) -> None:
        self.artifacts[name] = data

    def flush(self, timeout_s: float = 30.0) -> int:
        return 0

    def close(self, status: StudyStatus, timeout_s: float = 30.0) -> int:
        self.status = status
        return 0
