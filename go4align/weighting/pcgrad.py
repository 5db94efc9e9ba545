"""PCGrad: projecting conflicting gradients (Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020)."""

from collections.abc import Iterable
from typing import Any

import numpy
import torch

from go4align.arrays import Indices, Matrix, Vector
from go4align.grouping.base import GramianForm
from go4align.randomness import Draws
from go4align.weighting._engine.gradient_weighting import Heads
from go4align.weighting._engine.gramian_weighting import GramianWeighting


class PCGrad(GramianWeighting):
    r"""PCGrad: each gradient loses its components against the others, one after another in random order (Algorithm 1).

    For every task i, over the other tasks j in an order drawn for i: g_i <- g_i - <g_i, g_j> / |g_j|^2 g_j wherever
    <g_i, g_j> < 0, with the original g_j; the step is the sum of all g_i. Done on the Gramian, for all i at once.
    The official code of Nash-MTL shuffles with Python's `random`, and visits j = i too, which matters only where g_i
    has turned against itself; the paper and TorchJD do not. After `torch.manual_seed` this equals TorchJD's PCGrad.

    Args:
        n_tasks: number of tasks M.
        seed: of the method's own generator; None (default) takes over the state of torch's global one at the first
            step.
        heads: what the task heads get: "weighted" or "sum" (default, as official).
        gramian: "stored" (default), "layerwise" or "representation", see `GramianWeighting`.
        task_names: M names for error messages.
    """

    depends_on_order = True
    takes_scaled_losses = True

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        heads: Heads = "sum",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)
        self.draws = Draws(seed)

    def _solve(self, gramian: Matrix) -> Vector:
        generator = self.draws.generator()
        orders = [torch.randperm(self.n_tasks, generator=generator, device="cpu").tolist() for _ in range(self.n_tasks)]
        weights: Vector = project_conflicts(gramian, numpy.array(orders)).sum(0)
        return weights

    def get_extra_state(self) -> dict[str, Any]:
        return self.draws.state()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.draws.load(state)


def project_conflicts(gramian: Matrix, orders: Indices) -> Matrix:
    """Project every task's gradient as `PCGrad` says.

    Args:
        gramian: [M, M].
        orders: [M, M]; row i is the order in which task i meets all tasks (its own entry is passed over).

    Returns:
        [M, M]; row i has the coefficients of the projected g_i on g_0, ..., g_{M-1}.
    """
    tasks = numpy.arange(len(gramian))
    coefficients = numpy.eye(len(gramian))
    squares = gramian.diagonal()
    for others in orders.T:
        products = (coefficients * gramian[others]).sum(1)
        conflict = (products < 0.0) & (others != tasks) & (squares[others] > 0.0)
        removed = numpy.divide(products, squares[others], out=numpy.zeros(len(tasks)), where=conflict)
        coefficients[tasks, others] -= removed
    return coefficients
