"""Streaming metrics of a pass, and measures of multi-task performance."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names
from go4align.metrics.delta_m import delta_m, mean_ranks, median_change, ranks, relative_changes
from go4align.metrics.evaluation import Accumulator, Evaluation, Metric

if TYPE_CHECKING:
    from go4align.metrics.means import Means
    from go4align.metrics.regression import MeanAbsoluteErrors

__all__ = [
    "Accumulator",
    "Evaluation",
    "MeanAbsoluteErrors",
    "Means",
    "Metric",
    "delta_m",
    "mean_ranks",
    "median_change",
    "ranks",
    "relative_changes",
]

__getattr__ = lazy_names(__name__, {"MeanAbsoluteErrors": "regression", "Means": "means"})
