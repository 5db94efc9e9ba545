"""Losses in, one training step out: one method per file behind the `Weighting` contract."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names
from go4align.weighting.registry import (
    available_indicators,
    available_methods,
    build_weighting,
    hyperparameters,
    torchjd_methods,
)

if TYPE_CHECKING:
    from go4align.weighting._engine.base import StepRecord, Weighting
    from go4align.weighting._engine.loss_weighting import LossWeighting
    from go4align.weighting.go4align import GO4Align
    from go4align.weighting.risk_guided import RiskGuided

__all__ = [
    "GO4Align",
    "LossWeighting",
    "RiskGuided",
    "StepRecord",
    "Weighting",
    "available_indicators",
    "available_methods",
    "build_weighting",
    "hyperparameters",
    "torchjd_methods",
]

__getattr__ = lazy_names(
    __name__,
    {
        "GO4Align": "go4align",
        "LossWeighting": "_engine.loss_weighting",
        "RiskGuided": "risk_guided",
        "StepRecord": "_engine.base",
        "Weighting": "_engine.base",
    },
)
