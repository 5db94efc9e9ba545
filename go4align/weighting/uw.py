"""UW: uncertainty weighting (Kendall, Gal and Cipolla, CVPR 2018)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from go4align.checks import real_number
from go4align.weighting._engine.loss_weighting import LossWeighting


class UncertaintyWeighting(LossWeighting):
    """UW: minimise sum(exp(-s) / 2 * L + s / 2) over the network and the log variances s [M] together.

    Computed by TorchJD, which equals the official code. s starts at 0, so the first weights are 1/2 each.
    `backward` also fills `s.grad`; an optimiser must step it: `parameter_groups()` or `parameters()`.

    Args:
        n_tasks: number of tasks M.
        weights_lr: learning rate of s in `parameter_groups()`, default 0.025 (official code's `method_params_lr`).
        task_names: M names for error messages.
    """

    def __init__(self, n_tasks: int, weights_lr: float = 0.025, *, task_names: Iterable[str] | None = None) -> None:
        super().__init__(n_tasks, task_names=task_names)
        from torchjd.scalarization import UW

        self.weights_lr = real_number("weights_lr", weights_lr)
        self.scalarizer = UW(n_tasks)
        self.scalarizer.log_var = nn.Parameter(self.scalarizer.log_var.detach().double())

    def _weigh(self, losses: Tensor) -> Tensor:
        return 0.5 * (-self._present(self.scalarizer.log_var.detach())).exp()

    def learn(self, losses: Tensor) -> None:
        """The gradient of s into `s.grad`; that of tasks without labels is zero."""
        if self.tasks is None:
            self.scalarizer(losses).backward()
            return
        present = self._present(self.scalarizer.log_var)
        torch.func.functional_call(self.scalarizer, {"log_var": present}, (losses,)).backward()

    def _present(self, log_var: Tensor) -> Tensor:
        """Of the tasks that take part in the step."""
        return log_var if self.tasks is None else log_var[self.tasks]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The log variances, with their own learning rate."""
        return [{"params": [self.scalarizer.log_var], "lr": self.weights_lr}]
