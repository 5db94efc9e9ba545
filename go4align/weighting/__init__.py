"""Losses in, one training step out: one method per file behind the `Weighting` contract."""

from go4align.weighting.base import StepRecord, Weighting
from go4align.weighting.go4align import GO4Align
from go4align.weighting.loss_weighting import LossWeighting
from go4align.weighting.registry import available_methods, build_weighting, hyperparameters

__all__ = [
    "GO4Align",
    "LossWeighting",
    "StepRecord",
    "Weighting",
    "available_methods",
    "build_weighting",
    "hyperparameters",
]
