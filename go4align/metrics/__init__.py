"""Streaming metrics and measures of multi-task performance."""

from go4align.metrics.delta_m import delta_m, mean_ranks, median_change, ranks, relative_changes

__all__ = ["delta_m", "mean_ranks", "median_change", "ranks", "relative_changes"]
