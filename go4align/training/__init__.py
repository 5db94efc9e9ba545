"""Training: one step, the epoch loop, its records and its checkpoints."""

from go4align.training.checkpoints import Checkpoints, CheckpointWarning
from go4align.training.options import TrainingOptions
from go4align.training.records import EpochRecord, Evaluation, StepSummary
from go4align.training.step import train_step
from go4align.training.trainer import Monitor, Trainer

__all__ = [
    "CheckpointWarning",
    "Checkpoints",
    "EpochRecord",
    "Evaluation",
    "Monitor",
    "StepSummary",
    "Trainer",
    "TrainingOptions",
    "train_step",
]
