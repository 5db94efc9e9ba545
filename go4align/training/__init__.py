"""Training: one step, the epoch loop, its records and its checkpoints."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from go4align.metrics import Evaluation
    from go4align.training.checkpoints import Checkpoints, CheckpointWarning
    from go4align.training.evaluation import evaluate
    from go4align.training.options import TrainingOptions
    from go4align.training.records import EpochRecord, StepSummary
    from go4align.training.step import train_step
    from go4align.training.trainer import Trainer
    from go4align.training.watching import ANYWHERE, Monitor, Watched, check_watched, monitor_of, watched_by

__all__ = [
    "ANYWHERE",
    "CheckpointWarning",
    "Checkpoints",
    "EpochRecord",
    "Evaluation",
    "Monitor",
    "StepSummary",
    "Trainer",
    "TrainingOptions",
    "Watched",
    "check_watched",
    "evaluate",
    "monitor_of",
    "train_step",
    "watched_by",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ANYWHERE": "watching",
        "CheckpointWarning": "checkpoints",
        "Checkpoints": "checkpoints",
        "EpochRecord": "records",
        "Evaluation": "records",
        "Monitor": "watching",
        "StepSummary": "records",
        "Trainer": "trainer",
        "TrainingOptions": "options",
        "Watched": "watching",
        "check_watched": "watching",
        "evaluate": "evaluation",
        "monitor_of": "watching",
        "train_step": "step",
        "watched_by": "watching",
    },
)
