"""Training: one step, the epoch loop, and its records."""

from go4align.training.options import TrainingOptions
from go4align.training.records import EpochRecord, Evaluation, StepSummary
from go4align.training.step import train_step
from go4align.training.trainer import Monitor, Trainer

__all__ = ["EpochRecord", "Evaluation", "Monitor", "StepSummary", "Trainer", "TrainingOptions", "train_step"]
