"""The `Grouping` contract: indicator [M] in, groups out."""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

from torch import Tensor

from go4align.arrays import Array, namespace, to_array, to_tensor
from go4align.checks import group_count, option, whole_number
from go4align.grouping.partitions import TINY
from go4align.narrowing import PerTask

Space = Literal["linear", "log"]
"""Whether K-means sees the indicator or its logarithm."""


class Groups(NamedTuple):
    """Tasks in K groups, no group empty.

    Attributes:
        labels: [M] int64, the group of each task; groups are numbered by ascending centre.
        centres: [K] float64 in ascending order, the weight of each group: the mean of its members' indicators, or
            their geometric mean where the logarithm is clustered. On a GPU with `n_groups="auto"` K is known on the
            device only: there `centres` has M entries, NaN from K on.
    """

    labels: Tensor
    centres: Tensor


class Grouping(PerTask, ABC):
    """Puts tasks with similar indicators into one group.

    Args:
        n_tasks: number of tasks M.
        n_groups: number of groups K, 1 to M, or "auto" (default): see `go4align.grouping.choose_k`.
        space: "linear" (default, Eq. 3): K-means on the indicator, a group's weight is the mean of its members.
            "log": K-means on its logarithm, a group's weight is the geometric mean; of use where indicators differ by
            orders of magnitude, because squared distances between logarithms do not let the largest one rule.
        seed: of the randomness, where there is any.
    """

    def __init__(self, n_tasks: int, n_groups: int | str = "auto", *, space: Space = "linear", seed: int = 0) -> None:
        super().__init__()
        self.n_tasks = whole_number("n_tasks", n_tasks, 1)
        self.n_groups = group_count(n_groups, n_tasks)
        self.space = option("space", space, Space)
        self.logarithmic = space == "log"
        self.seed = whole_number("seed", seed, 0)

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        most = "auto" if self.n_groups == "auto" else min(self.n_groups, len(tasks))
        return {**super().narrowed_attributes(tasks), "n_groups": most}

    def group(self, indicator: Tensor) -> Groups:
        """Group any indicator [M]; in log space, entries that are not positive count as the smallest normal number."""
        values: Any = to_array(indicator.detach(), indicator.is_cpu)
        if not self.logarithmic:
            return as_groups(*self._group(values))
        xp = namespace(values)
        return self.group_log(xp.log(xp.where(values > TINY, values, TINY)))

    def group_log(self, log_indicator: Array) -> Groups:
        """Group an indicator given as its logarithm [M] float64, an array (`go4align.arrays`), without underflow."""
        xp = namespace(log_indicator)
        if not self.logarithmic:
            return as_groups(*self._group(xp.exp(log_indicator)))
        labels, centres = self._group(log_indicator)
        return as_groups(labels, xp.exp(centres))

    @abstractmethod
    def _group(self, values: Array) -> tuple[Array, Array]:
        """Group the values [M] float64 that `space` asks for: labels, and centres as means of those values."""


def as_groups(labels: Array, centres: Array) -> Groups:
    """Arrays as tensors."""
    return Groups(to_tensor(labels), to_tensor(centres))
