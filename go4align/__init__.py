"""Multi-task learning: per-task losses in, one training step out."""

from go4align.errors import UserError
from go4align.grouping import Groups, exact_kmeans
from go4align.indicators import RiskGuided
from go4align.weighting import (
    GO4Align,
    StepRecord,
    Weighting,
    available_methods,
    build_weighting,
    hyperparameters,
)

__all__ = [
    "GO4Align",
    "Groups",
    "RiskGuided",
    "StepRecord",
    "UserError",
    "Weighting",
    "available_methods",
    "build_weighting",
    "exact_kmeans",
    "hyperparameters",
]
