"""RLW: random loss weighting (Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from go4align.randomness import Draws
from go4align.weighting._engine.loss_weighting import LossWeighting


class RandomWeighting(LossWeighting):
    """RLW: weights are a fresh softmax of M standard normal numbers at every step; they sum to 1.

    Numbers are drawn in float64 on the CPU whatever the losses' dtype and device are, so a seed gives the same weights
    everywhere. The state of the generator is part of `state_dict`.

    Args:
        n_tasks: number of tasks M.
        seed: of the method's own generator. None (default) takes over the state that torch's global generator has at
            the first step, so that after `torch.manual_seed` the weights are those of the official code; the global
            generator itself is not advanced. On a GPU a bad loss uses its step's numbers up.
        task_names: M names for error messages.
    """

    depends_on_order = True
    takes_scaled_losses = True

    def __init__(self, n_tasks: int, *, seed: int | None = None, task_names: Iterable[str] | None = None) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.draws = Draws(seed)

    def _weigh(self, losses: Tensor) -> Tensor:
        logits = torch.randn(self.n_tasks, generator=self.draws.generator(), dtype=torch.float64, device="cpu")
        return logits.softmax(0).to(losses.device, non_blocking=True)

    def get_extra_state(self) -> dict[str, Any]:
        return self.draws.state()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.draws.load(state)
