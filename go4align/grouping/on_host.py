"""Clusterings that run on the host: any labels in, groups as the seam wants them out."""

from abc import abstractmethod

import numpy
from torch import Tensor

from go4align.arrays import Array, Indices, Vector, to_tensor
from go4align.errors import UserError
from go4align.grouping.base import Grouping
from go4align.grouping.exact_kmeans import solve


class HostGrouping(Grouping):
    """A clustering of numpy arrays; a subclass writes `_label`. On a GPU this waits for the device.

    "auto" takes K from the exact partitions (`go4align.grouping.choose_k`).
    """

    def _group(self, values: Array) -> tuple[Array, Array]:
        if isinstance(values, Tensor):
            labels, centres = self._group_on_host(values.cpu().numpy())
            return to_tensor(labels).to(values.device), to_tensor(centres).to(values.device)
        return self._group_on_host(values)

    def _group_on_host(self, values: Vector) -> tuple[Indices, Vector]:
        count = self.n_groups
        if count == "auto":
            count = int(solve(values, "auto", self.logarithmic)[0].max()) + 1
        labels = numpy.zeros(len(values), numpy.int64)
        if count == len(values):
            labels = numpy.arange(len(values))
        elif count > 1 and numpy.ptp(values) > 0.0:
            labels = self._label(values, count)
            if numpy.shape(labels) != values.shape:
                raise UserError(
                    f"`_label` of {type(self).__name__} must give labels of shape {values.shape}, found "
                    f"{numpy.shape(labels)}."
                )
        return ordered_groups(values, split_until(values, labels, count))

    @abstractmethod
    def _label(self, values: Vector, n_groups: int) -> Indices:
        """Indices [M] from 0 to at most n_groups - 1 in any order, some perhaps unused; 1 < n_groups < M."""


def split_until(values: Vector, labels: Indices, n_groups: int) -> Indices:
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


def ordered_groups(values: Vector, labels: Indices) -> tuple[Indices, Vector]:
    """Number the groups by ascending mean; returns labels [M] and means [K]."""
    means = _sizes_and_means(values, labels)[1]
    order = means.argsort(kind="stable")
    return order.argsort(kind="stable")[labels], means[order]


def _sizes_and_means(values: Vector, labels: Indices) -> tuple[Indices, Vector]:
    sizes = numpy.bincount(labels)
    return sizes, numpy.bincount(labels, values) / sizes
