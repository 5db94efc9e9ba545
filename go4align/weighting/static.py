"""Static: a plain sum with fixed weights, the baseline that adaptive methods have to beat.

Xin, Ghorbani, Gilmer, Garg and Firat, "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?", and
Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", both NeurIPS 2022.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from go4align.checks import flag, mapping, real_number
from go4align.errors import UserError, unknown_name
from go4align.weighting._engine.loss_weighting import LossWeighting

LARGEST = 1e9
"""Of a factor; the smallest is its inverse."""


class Static(LossWeighting):
    r"""Minimise sum_m w_m L_m with w_m = f_m L_m(0)^-power, where L_m(0) is the task's loss in its first batch.

    With `power=0` and no factors that is a plain sum; with `power=1` (default) every task's loss begins at 1. So one
    number, or one for each family of tasks, tunes fixed weights, where one for every task would be too many for a few
    trials.

    A first loss of zero counts as the smallest positive one of that batch, or 1 where there is none.

    Args:
        n_tasks: number of tasks M.
        power: of the loss in a task's first batch, 0 to 3; default 1.
        factors: by task a factor f_m; several tasks that share one are joined by "/", as in {"U0/U/H/G": 3.0}. The
            others have 1.
        normalise: whether the weights sum to M (default), so that power and factors leave the learning rate as it is.
        task_names: M names, of which `factors` names some.

    Raises:
        UserError: a factor of no task, or two of one.
    """

    per_task: ClassVar[Mapping[str, int]] = {**LossWeighting.per_task, "log_first": 0, "seen": 0, "log_factors": 0}

    log_first: Tensor
    seen: Tensor
    log_factors: Tensor

    def __init__(
        self,
        n_tasks: int,
        power: float = 1.0,
        *,
        factors: Mapping[str, float] | None = None,
        normalise: bool = True,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.power = real_number("power", power, high=3.0)
        self.normalise = flag("normalise", normalise)
        self.takes_scaled_losses = self.power == 0.0
        self.needs_positive_losses = self.power > 0.0
        self.register_buffer("log_first", torch.zeros(n_tasks, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(n_tasks, dtype=torch.bool))
        known = _by_task(mapping("factors", factors), self.task_names)
        chosen = [known.get(name, 1.0) for name in self.task_names]
        self.register_buffer("log_factors", torch.tensor(chosen, dtype=torch.float64).log(), persistent=False)

    def _weigh(self, losses: Tensor) -> Tensor:
        if self.power:
            self._note_first(losses)
        log_weights = self.log_factors - self.power * self.log_first
        if self.normalise:
            return torch.softmax(log_weights, 0) * self.n_tasks
        return log_weights.exp()

    def _note_first(self, losses: Tensor) -> None:
        """Keep the losses of tasks that are seen for the first time."""
        zero = losses == 0
        smallest = losses.masked_fill(zero, torch.inf).min()
        smallest = torch.where(smallest.isinf(), torch.ones_like(smallest), smallest)
        present = torch.where(zero, smallest, losses).double().log()
        self.log_first.copy_(torch.where(self.seen, self.log_first, present))
        self.seen.fill_(True)


def _by_task(factors: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    known = list(names)
    found: dict[str, float] = {}
    for key, value in factors.items():
        for name in str(key).split("/"):
            if name not in known:
                raise unknown_name("task of `factors`", name, known)
            if name in found:
                raise UserError(f"`factors` must have one factor for each task, found several for '{name}'.")
            found[name] = real_number(f"factors.{key}", value, above=0.0, high=LARGEST)
    return found
