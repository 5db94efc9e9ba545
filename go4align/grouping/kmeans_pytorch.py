"""K-means as the paper ran it, by the package kmeans_pytorch, made safe.

The package's own distance and initialisation are used. Its loop is not: it prints and opens a progress bar at every
call, draws from numpy's global generator, and never ends once a group is empty (its centre is then NaN).
On one-dimensional data it finds the optimum half the time at M = 11, K = 5 and hardly ever at M = 40: prefer "exact".
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch import Tensor

from go4align.arrays import Array, like, to_tensor
from go4align.errors import UserError
from go4align.grouping.base import Grouping, Groups, Space
from go4align.grouping.exact_kmeans import solve


class KMeansPyTorch(Grouping):
    """Lloyd's algorithm from M values drawn at random; a local optimum with exactly K groups.

    Each call draws from a generator of its own, seeded by `seed` and the number of calls so far, which is part of
    `state_dict`. "auto" takes K from the exact partitions. On a GPU this waits for the device at every iteration.
    """

    calls: Tensor

    def __init__(self, n_tasks: int, n_groups: int | str = "auto", *, space: Space = "linear", seed: int = 0) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        try:
            import kmeans_pytorch  # noqa: F401
        except ImportError as error:
            need = 'clustering="kmeans_pytorch" needs the extra `clusterings`'
            raise UserError(f'{need}: pip install "go4align-study[clusterings]"') from error
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def _group(self, values: Array) -> tuple[Array, Array]:
        calls = int(self.calls)
        self.calls.add_(1)
        count = self.n_groups
        if count == "auto":
            count = int(solve(values, "auto", self.logarithmic)[0].max()) + 1
        with numpy_seeded(self.seed, calls):
            labels, centres = lloyd(to_tensor(values), count)
        return like(labels, values), like(centres, values)


def lloyd(values: Tensor, n_groups: int, *, tolerance: float = 1e-4, max_iterations: int = 100) -> Groups:
    """Lloyd's algorithm on values [M], ended when the squared sum of centre shifts is below `tolerance`.

    `tolerance` is the package's default and absolute, as there; the limit of iterations is new. The first centres are
    drawn from numpy's global generator.
    """
    from kmeans_pytorch import initialize, pairwise_distance

    points = values[:, None]
    centres = initialize(points, n_groups).clone()
    labels = torch.zeros_like(values, dtype=torch.int64)
    for _ in range(max_iterations):
        distances = pairwise_distance(points, centres, device=values.device).reshape(len(values), n_groups)
        labels = fill_empty(distances.argmin(1), distances, n_groups)
        previous = centres[:, 0]
        centres = means(values, labels, n_groups)[:, None]
        if float((centres[:, 0] - previous).abs().sum()) ** 2 < tolerance:
            break
    ascending = centres[:, 0].argsort(stable=True)
    return Groups(ascending.argsort()[labels], centres[ascending, 0])


def fill_empty(labels: Tensor, distances: Tensor, n_groups: int) -> Tensor:
    """Give each empty group the point that is farthest from its centre, among groups of more than one point."""
    sizes = torch.bincount(labels, minlength=n_groups)
    for empty in (sizes == 0).nonzero().flatten().tolist():
        own = distances.gather(1, labels[:, None])[:, 0]
        point = torch.where(sizes[labels] > 1, own, -1.0).argmax()
        sizes[labels[point]] -= 1
        sizes[empty] += 1
        labels[point] = empty
        distances[point] = 0.0
    return labels


def means(values: Tensor, labels: Tensor, n_groups: int) -> Tensor:
    """[K] mean of each group."""
    inside = labels == torch.arange(n_groups, device=labels.device)[:, None]  # a GPU scatters in no fixed order
    return torch.where(inside, values, 0.0).sum(1) / inside.sum(1)


@contextmanager
def numpy_seeded(*seeds: int) -> Iterator[None]:
    """Seed numpy's global generator for a while; what others drew and will draw from it is not touched."""
    state = numpy.random.get_state()  # noqa: NPY002 (the package draws from the legacy generator)
    numpy.random.seed(list(seeds))  # noqa: NPY002
    try:
        yield
    finally:
        numpy.random.set_state(state)  # noqa: NPY002
