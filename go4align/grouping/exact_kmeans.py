"""Exact one-dimensional K-means: in one dimension optimal groups are intervals of the sorted values (`partitions`).

On a CPU that is a dynamic programming in numpy, one group more at a time (`partitions`). On a GPU every launch has its
price, whatever its size, and nothing may wait for a result: there it is one kernel (`fused_kmeans`) for up to 64 tasks
where Triton is at hand. Elsewhere the same costs are minimised in a number of operations that grows with log K alone
(`device_partitions`), at M^3 numbers of memory: 34 MB at 128 tasks, 2 GB at 512. All find the same groups unless
partitions cost the same but for the rounding of a sum.

The package kmeans1d is quicker on few tasks (`bench/weights.py`), but it leaves groups empty where there are fewer
distinct values than groups, its prefix sums miss the optimum where values agree to eight digits, and it solves for one
K at a time; the tests compare with it where it is exact.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy
import torch
from torch import Tensor

from go4align.arrays import Array, Indices, Vector, to_array
from go4align.checks import GroupCount, group_count
from go4align.errors import UserError
from go4align.grouping.base import Grouping, Groups, as_groups
from go4align.grouping.choose_k import Choice
from go4align.grouping.device_partitions import boundaries, chosen_partition
from go4align.grouping.device_segments import segment_constants, segments, segments_and_misfits
from go4align.grouping.partitions import chosen_splits, optimal_partitions, segment_costs, segment_misfits
from go4align.kernels import MOST_TASKS, agrees, has_triton


def exact_kmeans(values: Tensor, n_groups: int | str, *, logarithmic: bool = False) -> Groups:
    """Split values into groups with the least within-group sum of squares.

    Equal values come into different groups only where there are fewer distinct values than groups.

    Args:
        values: [M], any floating dtype; on a GPU the host does not wait.
        n_groups: 1 to M, or "auto" (see `choose_k`).
        logarithmic: whether the values are logarithms; only "auto" asks.

    Returns:
        Labels [M] and centres [K]; on a GPU with "auto", centres [M] with NaN after the last group.

    Raises:
        UserError: `n_groups` is neither "auto" nor from 1 to M, or the values are no vector; on a CPU also if one is
            not finite.
    """
    if not isinstance(values, Tensor) or values.ndim != 1 or not len(values):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise UserError(f"`values` must be a tensor of shape [M] with at least one entry, found {found}.")
    if values.is_cpu and not values.isfinite().all():
        raise UserError(f"`values` must be finite, found {values[~values.isfinite()][0].item()}.")
    array = to_array(values.detach(), values.is_cpu)
    return as_groups(*solve(array, group_count(n_groups, len(values)), logarithmic))


class ExactKMeans(Grouping):
    """Optimal K-means; deterministic, exactly K groups, ties included."""

    def _group(self, values: Array) -> tuple[Array, Array]:
        return solve(values, self.n_groups, self.logarithmic)


def solve(values: Array, n_groups: GroupCount, logarithmic: bool) -> tuple[Array, Array]:
    """`exact_kmeans` on arrays, without checks."""
    if isinstance(values, Tensor):
        return _device_solver(values.device, len(values), n_groups, logarithmic)(values, n_groups, logarithmic)
    return on_host(values, n_groups, logarithmic)


DeviceSolver = Callable[[Tensor, GroupCount, bool], tuple[Tensor, Tensor]]


@lru_cache(maxsize=256)
def _device_solver(device: torch.device, size: int, n_groups: GroupCount, logarithmic: bool) -> DeviceSolver:
    """The kernel, where it solves a sample as the host does, for which the host waits once; else `on_device`."""
    if not has_triton(device) or size > MOST_TASKS:
        return on_device
    sample = numpy.exp(2.0 * numpy.sin(numpy.arange(size) ** 2.0))
    labels, centres = on_host(sample, n_groups, logarithmic)
    if n_groups == "auto":
        centres = numpy.append(centres, numpy.full(size - len(centres), numpy.nan))

    def attempt() -> tuple[Tensor, Tensor]:
        return _kernel()(torch.from_numpy(sample).to(device), n_groups, logarithmic)

    return _kernel() if agrees("exact K-means", attempt, (labels, centres)) else on_device


def _kernel() -> DeviceSolver:
    """Where Triton is not installed, nothing imports this."""
    from go4align.grouping.fused_kmeans import fused_kmeans

    return fused_kmeans


def on_host(values: Vector, n_groups: GroupCount, logarithmic: bool) -> tuple[Indices, Vector]:
    """`solve` for numpy."""
    order = values.argsort(kind="stable")
    ordered = values[order]
    costs = segment_costs(ordered)
    if n_groups == "auto":
        choice = Choice(len(values))
        splits = chosen_splits(costs, costs if logarithmic else segment_misfits(ordered), choice.goes_on)
        count = choice.best
    else:
        splits = optimal_partitions(costs, n_groups).splits
        count = n_groups
    starts, sizes = _starts_and_sizes(splits, count, len(values))
    labels = numpy.empty(len(values), numpy.int64)
    labels[order] = numpy.arange(count).repeat(sizes)
    first = ordered[starts]  # means are taken from it, so that a group of equal values has just that value
    return labels, first + numpy.add.reduceat(ordered - first.repeat(sizes), starts) / sizes


def _starts_and_sizes(every: Sequence[Indices], n_groups: int, size: int) -> tuple[Indices, Indices]:
    bounds = [size]
    last = -1
    for splits in reversed(every[: n_groups - 1]):
        last = int(splits[last])
        bounds.append(last + 1)
    bounds.append(0)
    edges = numpy.array(bounds[::-1])
    return edges[:-1], edges[1:] - edges[:-1]


def on_device(values: Tensor, n_groups: GroupCount, logarithmic: bool) -> tuple[Tensor, Tensor]:
    """`solve` for torch, by (min, +) products: no shape depends on data, nothing waits for the device."""
    size = len(values)
    ordered, order = torch.sort(values, stable=True)
    positions = segment_constants(size, values.device).positions
    if n_groups == "auto" and size > 1:
        known, misfits = segments_and_misfits(ordered, logarithmic)
        chosen = chosen_partition(known.costs, misfits)
        labels = chosen.last_label - (chosen.ends[1:, None] >= positions).sum(0)
        places = chosen.last_label - positions  # the last group is first there
        centres = known.means[chosen.ends, chosen.befores][places].masked_fill(places < 0, torch.nan)
    else:
        known = segments(ordered)
        ends = boundaries(known.costs, 1 if n_groups == "auto" else n_groups)
        labels = torch.searchsorted(ends[1:-1], positions)
        centres = known.means[ends[1:], ends[:-1]]
    return torch.empty_like(labels).scatter_(0, order, labels), centres
