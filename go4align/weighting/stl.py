"""STL: one task alone, the reference that relative changes are measured against."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from go4align.checks import whole_number
from go4align.weighting._engine.loss_weighting import LossWeighting


class SingleTask(LossWeighting):
    """STL: weight 1 for one task and 0 for the others.

    Args:
        n_tasks: number of tasks M.
        task: index of the trained task, 0 (default) to M-1.
        task_names: M names for error messages.
    """

    depends_on_order = True
    is_indicator = False
    takes_scaled_losses = True

    def __init__(self, n_tasks: int, task: int = 0, *, task_names: Iterable[str] | None = None) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.task: int | None = whole_number("task", task, 0, n_tasks - 1)

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        place = tasks.index(self.task) if self.task in tasks else None
        return {**super().narrowed_attributes(tasks), "task": place}

    def _weigh(self, losses: Tensor) -> Tensor:
        weights = losses.new_zeros(self.n_tasks)
        if self.task is not None:
            weights[self.task] = 1
        return weights
