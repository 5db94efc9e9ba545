"""Clusterings that run on the host: any labels in, groups as the seam wants them out."""

from abc import abstractmethod
from typing import Any

import numpy
from numpy.typing import NDArray

from go4align.arrays import Array, namespace, to_tensor
from go4align.grouping.base import Grouping
from go4align.grouping.exact_kmeans import solve

Vector = NDArray[numpy.float64]
Labels = NDArray[numpy.int64]


class HostGrouping(Grouping):
    """A clustering of numpy arrays; a subclass writes `_label`. On a GPU this waits for the device.

    "auto" takes K from the exact partitions (`go4align.grouping.choose_k`).
    """

    def _group(self, values: Array) -> tuple[Array, Array]:
        host: Any = values if namespace(values) is numpy else values.cpu().numpy()
        count = self.n_groups
        if count == "auto":
            count = int(solve(host, "auto", self.logarithmic)[0].max()) + 1
        labels = numpy.zeros(len(host), numpy.int64)
        if count == len(host):
            labels = numpy.arange(len(host))
        elif count > 1 and numpy.ptp(host) > 0.0:
            labels = self._label(host, count)
        labels, centres = ordered_groups(host, split_until(host, labels, count))
        if host is values:
            return labels, centres
        return to_tensor(labels).to(values.device), to_tensor(centres).to(values.device)

    @abstractmethod
    def _label(self, values: Vector, n_groups: int) -> Labels:
        """Labels [M] from 0 to at most n_groups - 1 in any order, some perhaps unused; 1 < n_groups < M."""


def split_until(values: Vector, labels: Labels, n_groups: int) -> Labels:
    """Split the group with the largest sum of squares at its widest gap until there are as many as wanted."""
    labels = numpy.unique(labels, return_inverse=True)[1]
    while (count := int(labels.max()) + 1) < n_groups:
        sizes, means = _sizes_and_means(values, labels)
        sums = numpy.bincount(labels, (values - means[labels]) ** 2)
        widest = int(numpy.where(sizes > 1, sums, -1.0).argmax())
        members = (labels == widest).nonzero()[0]
        members = members[values[members].argsort(kind="stable")]
        gap = int(numpy.diff(values[members]).argmax())
        labels[members[gap + 1 :]] = count
    return labels


def ordered_groups(values: Vector, labels: Labels) -> tuple[Labels, Vector]:
    """Number the groups by ascending mean; returns labels [M] and means [K]."""
    means = _sizes_and_means(values, labels)[1]
    order = means.argsort(kind="stable")
    return order.argsort(kind="stable")[labels], means[order]


def _sizes_and_means(values: Vector, labels: Labels) -> tuple[Labels, Vector]:
    sizes = numpy.bincount(labels)
    return sizes, numpy.bincount(labels, values) / sizes
