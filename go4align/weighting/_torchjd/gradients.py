"""The weightings around an aggregator of TorchJD: by the Gramian, by the gradients, and those whose step is no sum."""

from collections.abc import Iterable
from typing import Any, cast

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix, Vector
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.gradient_weighting import Decision, GradientWeighting, Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting
from go4align.weighting._engine.shared import Shared
from go4align.weighting._engine.solvers import spread, unit_rows
from go4align.weighting._engine.task_gradients import StoredGradients
from go4align.weighting._torchjd.adapted import Adapted


class OfGramian(Adapted, GramianWeighting):
    """An aggregator with weights from the Gramian, which TorchJD gets in float64 on the host."""

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        heads: Heads = "sum",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)
        example = torch.eye(n_tasks, dtype=torch.float64, device="cpu")
        self.wrapped = self._wrap(self._call, example, seed, options)

    @staticmethod
    def _call(aggregator: Any, gramian: Tensor) -> Tensor:
        return cast(Tensor, aggregator.gramian_weighting(gramian))

    def _solve(self, gramian: Matrix) -> Vector:
        return self._present()(torch.from_numpy(gramian)).double().numpy()

    @property
    def _state_device(self) -> torch.device:
        return torch.device("cpu")


class OfMatrix(Adapted, GradientWeighting):
    """An aggregator that wants the gradients themselves, [M, D], which are kept during the step."""

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        heads: Heads = "sum",
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, heads=heads, task_names=task_names)
        self.wrapped = self._wrap(self._call, torch.eye(n_tasks, dtype=torch.float64), seed, options)

    @staticmethod
    def _call(aggregator: Any, gradients: Tensor) -> Tensor:
        return cast(Tensor, aggregator(gradients))

    def _decide(self, losses: Tensor, shared: Shared) -> Decision:
        gradients = StoredGradients(losses, shared.parameters, self._scratch, shared.heads, ranks=self.ranks)
        gramian = gradients.gramian()
        self._check_finite(gramian.diagonal())
        jacobian = gradients.jacobian
        found = self._present()(jacobian if jacobian.dtype.itemsize >= 4 else jacobian.float())
        return self._decision(gradients, gramian, found)

    def _decision(self, gradients: StoredGradients, gramian: Matrix, found: Tensor) -> Decision:
        """The step is no weighted sum: the record has the weights of the sum that comes nearest to it."""
        products = (gradients.jacobian.to(found) @ found).double().cpu().numpy()
        weights = torch.from_numpy(nearest_weights(gramian, products))
        return Decision(weights, None, lambda: gradients.parts(found), gradients.heads)


class OfMatrixByWeights(OfMatrix):
    """One of them whose step is a weighted sum."""

    @staticmethod
    def _call(aggregator: Any, gradients: Tensor) -> Tensor:
        return cast(Tensor, aggregator.weighting(gradients))

    def _decision(self, gradients: StoredGradients, gramian: Matrix, found: Tensor) -> Decision:
        weights = found.double().cpu()
        sizes: list[float] = numpy.sqrt(gramian.diagonal()).tolist()
        return Decision(weights, sizes, lambda: gradients.combined(weights, sizes), gradients.heads)


def nearest_weights(gramian: Matrix, products: Vector) -> Vector:
    """w [M] for which sum(w_m g_m) comes nearest to a step d; the shortest such w in units of the gradients' lengths.

    Args:
        gramian: [M, M].
        products: <g_m, d> [M].
    """
    rows = unit_rows(gramian)
    lengths = numpy.linalg.lstsq(rows.cosines, products[rows.tasks] / rows.norms)[0]
    return spread(lengths / rows.norms, rows.tasks, len(gramian))
