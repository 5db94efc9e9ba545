"""Clusterings that look at the tasks' gradients: cosines in, groups as the seam wants them out."""

from abc import abstractmethod

import numpy
from torch import Tensor

from go4align.arrays import Array, Indices, Matrix, Vector, to_tensor
from go4align.checks import GroupCount, option
from go4align.errors import UserError
from go4align.grouping.base import GramianForm, Grouping, Space
from go4align.grouping.on_host import ordered_groups, split_until


class GradientGrouping(Grouping):
    """A clustering of the tasks by the cosines of their gradients, on the host; a subclass writes `_label`.

    The indicator has no say in who belongs together; it gives the groups their weights, the means of their members'
    indicators, as with any other clustering. `go4align.GO4Align` then takes every task's gradient at every step.

    Args:
        n_tasks: number of tasks M.
        n_groups: number of groups K, 1 to M, or "auto" (default), which the subclass decides.
        gramian: "stored" (default), "layerwise" or "representation": how the Gramian is computed, and of which
            gradients, as the gradient-oriented methods' hyperparameter of that name (docs/methods.md).
        space: see `Grouping`; says which mean a group's weight is.
        seed: of the randomness, where there is any.
    """

    needs_gramian = True

    def __init__(
        self,
        n_tasks: int,
        n_groups: int | str = "auto",
        *,
        gramian: GramianForm = "stored",
        space: Space = "linear",
        seed: int = 0,
    ) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        self.gramian = option("gramian", gramian, GramianForm)

    def _grouped(self, values: Array, gramian: Matrix | None) -> tuple[Array, Array]:
        if gramian is None or gramian.shape != (len(values), len(values)):
            found = "none" if gramian is None else gramian.shape
            raise UserError(
                f"This grouping needs the Gramian of the tasks' gradients, of shape {(len(values),) * 2}, found "
                f"{found}. Pass it to `group` as `gramian`."
            )
        if isinstance(values, Tensor):
            labels, centres = self._labelled(values.cpu().numpy(), gramian)
            return to_tensor(labels).to(values.device), to_tensor(centres).to(values.device)
        return self._labelled(values, gramian)

    def _labelled(self, values: Vector, gramian: Matrix) -> tuple[Indices, Vector]:
        count = self.n_groups
        labels = numpy.arange(len(values)) if count == len(values) else numpy.zeros(len(values), numpy.int64)
        if count == "auto" or 1 < count < len(values):
            labels = numpy.unique(self._label(cosines(gramian), count), return_inverse=True)[1]
        return ordered_groups(values, labels if count == "auto" else split_until(values, labels, count))

    def _group(self, values: Array) -> tuple[Array, Array]:
        return self._grouped(values, None)

    @abstractmethod
    def _label(self, cosines: Matrix, n_groups: GroupCount) -> Indices:
        """Groups [M] in any numbers from the cosines [M, M] of the tasks' gradients.

        Args:
            cosines: with 1 on the diagonal.
            n_groups: the most groups that there may be, 1 < K < M; of fewer, those of widest indicators are split. Or
                "auto".
        """


def cosines(gramian: Matrix) -> Matrix:
    """[M, M]: 1 on the diagonal; a gradient of zero has the cosine 0 with every other."""
    norms = numpy.sqrt(gramian.diagonal())
    lengths = numpy.where(norms > 0.0, norms, 1.0)
    found: Matrix = (gramian / lengths[:, None] / lengths).clip(-1.0, 1.0)
    numpy.fill_diagonal(found, 1.0)
    return found
