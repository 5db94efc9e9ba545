"""Multi-task learning: per-task losses in, one training step out."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from go4align.errors import UserError
    from go4align.grouping import Groups, exact_kmeans
    from go4align.weighting import (
        GO4Align,
        RiskGuided,
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

__getattr__ = lazy_names(
    __name__,
    {
        "GO4Align": "weighting",
        "Groups": "grouping",
        "RiskGuided": "weighting",
        "StepRecord": "weighting",
        "UserError": "errors",
        "Weighting": "weighting",
        "available_methods": "weighting",
        "build_weighting": "weighting",
        "exact_kmeans": "grouping",
        "hyperparameters": "weighting",
    },
)
