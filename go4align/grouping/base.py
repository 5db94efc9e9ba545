"""The `Grouping` contract: indicator [M] in, groups out."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from go4align.arrays import Array, Matrix, namespace, to_array, to_tensor
from go4align.checks import group_count, option, whole_number
from go4align.grouping.partitions import TINY
from go4align.narrowing import PerTask

Space = Literal["linear", "log"]
"""Whether K-means sees the indicator or its logarithm."""
GramianForm = Literal["stored", "layerwise", "representation"]
"""Whether the tasks' gradients are kept for the Gramian, or those of one layer at a time; or the representation's are
taken instead."""


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
    """Puts tasks with similar indicators into one group. A subclass writes `_group`.

    `HostGrouping` is the base of what runs on the host and brings the contract's other half; `GradientGrouping` that of
    what looks at the tasks' gradients.

    Args:
        n_tasks: number of tasks M.
        n_groups: number of groups K, 1 to M, or "auto" (default): see `go4align.grouping.choose_k`.
        space: "linear" (default, Eq. 3): K-means on the indicator, a group's weight is the mean of its members.
            "log": K-means on its logarithm, a group's weight is the geometric mean; of use where indicators differ by
            orders of magnitude, because squared distances between logarithms do not let the largest one rule.
        seed: of the randomness, where there is any.
    """

    needs_gramian: ClassVar[bool] = False
    """Whether `group` must be given the Gramian of the tasks' gradients beside the indicator."""
    gramian: GramianForm = "stored"
    """How that is computed, and of which gradients: as the methods' hyperparameter of that name."""

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

    def group(self, indicator: Tensor, gramian: Matrix | None = None) -> Groups:
        """Group any indicator [M]; in log space, entries that are not positive count as the smallest normal number.

        Args:
            indicator: [M], detached or not, on any device.
            gramian: [M, M] float64 on the host, the inner products of the tasks' gradients, finite; others than those
                of `needs_gramian` do not look at it.

        Raises:
            UserError: no Gramian of M tasks where one is needed.
        """
        values: Any = to_array(indicator.detach(), indicator.is_cpu)
        if not self.logarithmic:
            return as_groups(*self._grouped(values, gramian))
        xp = namespace(values)
        return self.group_log(xp.log(xp.where(values > TINY, values, TINY)), gramian)

    def group_log(self, log_indicator: Array, gramian: Matrix | None = None) -> Groups:
        """Group an indicator given as its logarithm [M] float64, an array (`go4align.arrays`), without underflow."""
        xp = namespace(log_indicator)
        if not self.logarithmic:
            return as_groups(*self._grouped(xp.exp(log_indicator), gramian))
        labels, centres = self._grouped(log_indicator, gramian)
        return as_groups(labels, xp.exp(centres))

    def _grouped(self, values: Array, gramian: Matrix | None) -> tuple[Array, Array]:
        """As `_group`, whatever is known of the gradients; `GradientGrouping` looks at it."""
        return self._group(values)

    @abstractmethod
    def _group(self, values: Array) -> tuple[Array, Array]:
        """Group the values [M] float64 that `space` asks for: labels, and centres as means of those values."""


def as_groups(labels: Array, centres: Array) -> Groups:
    """Arrays as tensors."""
    return Groups(to_tensor(labels), to_tensor(centres))
