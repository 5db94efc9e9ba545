"""Indicator [M] to groups: one clustering per file, and the choice of the number of groups."""

from go4align.grouping.base import Grouping, Groups
from go4align.grouping.by_gradients import GradientGrouping
from go4align.grouping.exact_kmeans import exact_kmeans
from go4align.grouping.on_host import HostGrouping
from go4align.grouping.registry import CLUSTERINGS, available_clusterings, build_grouping

__all__ = [
    "CLUSTERINGS",
    "GradientGrouping",
    "Grouping",
    "Groups",
    "HostGrouping",
    "available_clusterings",
    "build_grouping",
    "exact_kmeans",
]
