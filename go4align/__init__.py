"""Multi-task learning: per-task losses in, one training step out."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from go4align.benchmarks.base import Benchmark, Task
    from go4align.distributed import synchronise
    from go4align.errors import UserError
    from go4align.grouping import Groups, exact_kmeans
    from go4align.metrics import Metric
    from go4align.models.base import MultiTaskModel
    from go4align.weighting import (
        GO4Align,
        RiskGuided,
        StepRecord,
        Weighting,
        available_methods,
        build_weighting,
        hyperparameters,
        torchjd_methods,
    )

__all__ = [
    "Benchmark",
    "GO4Align",
    "Groups",
    "Metric",
    "MultiTaskModel",
    "RiskGuided",
    "StepRecord",
    "Task",
    "UserError",
    "Weighting",
    "available_methods",
    "build_weighting",
    "exact_kmeans",
    "hyperparameters",
    "synchronise",
    "torchjd_methods",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Benchmark": "benchmarks.base",
        "GO4Align": "weighting",
        "Groups": "grouping",
        "Metric": "metrics.evaluation",
        "MultiTaskModel": "models.base",
        "RiskGuided": "weighting",
        "StepRecord": "weighting",
        "Task": "benchmarks.base",
        "UserError": "errors",
        "Weighting": "weighting",
        "available_methods": "weighting",
        "build_weighting": "weighting",
        "exact_kmeans": "grouping",
        "hyperparameters": "weighting",
        "synchronise": "distributed",
        "torchjd_methods": "weighting",
    },
)
