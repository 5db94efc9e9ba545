"""GradDrop: gradient sign dropout (Chen et al., "Just Pick a Sign", NeurIPS 2020)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from go4align.randomness import Draws
from go4align.weighting._engine.gradient_weighting import Decision, GradientWeighting, Heads
from go4align.weighting._engine.shared import Shared
from go4align.weighting._engine.task_gradients import StoredGradients

COLUMNS = 1 << 14
"""Entries per task that are worked on at a time: temporaries stay in the processor's cache."""


class GradDrop(GradientWeighting):
    r"""GradDrop: at every entry of the gradient one sign is drawn, and tasks of the other sign are dropped there.

    With purity P = (1 + sum_m g_m / sum_m |g_m|) / 2 and noise U uniform on [0, 1), both per entry, the positive g_m
    are summed where P > U and the negative ones where P < U (Chen et al., Algorithm 1, without leak). The official code
    of FAMO sums too, and clips the norm to 1.

    The step is no weighted sum, so a task's weight in the record is the share of its squared norm that was kept (and
    not clipped away), <kept_m, g_m> / |g_m|^2; it is 1 for a task without conflict.

    Args:
        n_tasks: number of tasks M.
        max_norm: the norm that the shared parameters' gradient is clipped to, default 1.0 as official; 0 for none.
        seed: of the method's own generator; None (default) takes over the state of torch's global one at the first
            step. Noise is drawn on the CPU in the gradients' dtype.
        heads: what the task heads get: "weighted" or "sum" (default, as official).
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        max_norm: float = 1.0,
        seed: int | None = None,
        heads: Heads = "sum",
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, heads=heads, max_norm=max_norm, task_names=task_names)
        self.takes_scaled_losses = not self.max_norm
        self.draws = Draws(seed)

    def _decide(self, losses: Tensor, shared: Shared) -> Decision:
        gradients = StoredGradients(losses, shared.parameters, self._scratch, shared.heads, ranks=self.ranks)
        jacobian = gradients.jacobian
        squares = torch.linalg.vector_norm(jacobian, dim=1, dtype=torch.float64).square()
        self._check_finite(squares.cpu().numpy())
        generator = self.draws.generator()
        noise = torch.rand(jacobian.shape[1], generator=generator, dtype=jacobian.dtype, device="cpu")
        dropped, kept = sign_dropout(jacobian, noise.to(jacobian), _wide(jacobian, squares))
        sizes: list[float] = squares.sqrt().tolist()
        weights = torch.where(squares > 0, kept / squares, 0.0).cpu()
        return Decision(weights, sizes, lambda: gradients.parts(dropped), gradients.heads)

    def get_extra_state(self) -> dict[str, Any]:
        return self.draws.state()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.draws.load(state)


def _wide(jacobian: Tensor, squares: Tensor) -> torch.dtype:
    """A dtype in which no sum over the tasks overflows: that of the gradients if it is one."""
    largest = float(squares.max()) ** 0.5 * len(jacobian)
    enough = jacobian.dtype.itemsize >= 4 and largest < torch.finfo(jacobian.dtype).max
    return jacobian.dtype if enough else torch.float64


def sign_dropout(jacobian: Tensor, noise: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Keep, at every entry, the gradients of the sign that the noise picks.

    Args:
        jacobian: [M, D].
        noise: U [D], numbers in [0, 1).
        dtype: to compute in, default the gradients'.

    Returns:
        The sum over the tasks [D] in that dtype, and each task's <kept_m, g_m> [M] float64.
    """
    combined = torch.empty_like(noise, dtype=dtype)
    kept = torch.zeros(len(jacobian), dtype=torch.float64, device=jacobian.device)
    blocks = (tensor.split(COLUMNS, dim=-1) for tensor in (jacobian, noise, combined))
    for given, draws, result in zip(*blocks, strict=True):
        rows = given.to(combined.dtype)
        total = rows.sum(0)
        size = rows.abs().sum(0)
        purity = torch.where(size > 0, 0.5 * (1 + total / size), 0.5)
        chosen = rows * (((purity > draws) & (rows > 0)) | ((purity < draws) & (rows < 0)))
        torch.sum(chosen, 0, out=result)
        kept += torch.linalg.vector_norm(chosen, dim=1, dtype=torch.float64).square()
    return combined, kept
