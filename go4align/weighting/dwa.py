"""DWA: dynamic weight average (Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from go4align.checks import real_number, whole_number
from go4align.narrowing import PerTask
from go4align.weighting._engine.loss_weighting import LossWeighting

LONGEST_WINDOW = 10_000
"""Steps; a history takes memory for twice as many."""


class DWA(LossWeighting):
    r"""DWA: a task whose loss falls slowly gets a larger weight, M * softmax(r / temperature), r = newer / older loss.

    Two forms differ in what "newer" and "older" are:
    - `window=25` (default): the official code of Nash-MTL, FAMO and GO4Align, whose published numbers were made so.
      Means over the last `window` steps, the current one included, and over the `window` steps before those, in a
      history that starts as ones. The first `window` + 1 steps have equal weights. The step follows the mean of the
      weighted losses, so the weights sum to 1.
    - `window=None`: as printed in Liu et al. (and in LibMTL and TorchJD). Means over the last epoch and the one before;
      the first two epochs have equal weights, and the weights sum to M. Needs `end_epoch()` after every epoch.

    A mean of exactly zero makes no rate: such a task's r is 1.

    Args:
        n_tasks: number of tasks M.
        temperature: default 2, as in the paper; larger is more even.
        window: steps per mean, default 25 as in official code; None for the form that was printed.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        temperature: float = 2.0,
        *,
        window: int | None = 25,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.temperature = real_number("temperature", temperature, above=0.0)
        self.window = window
        if window is None:
            self.history: SlidingWindow | EpochMeans = EpochMeans(n_tasks)
        else:
            self.history = SlidingWindow(
                n_tasks, whole_number("window", window, 1, LONGEST_WINDOW, otherwise=" or None (per epoch)")
            )

    def _weigh(self, losses: Tensor) -> Tensor:
        newer, older = self.history.means(losses.double())
        rates = torch.where(older == 0, torch.ones_like(newer), newer / older)
        return self.history.total * torch.softmax(rates / self.temperature, 0)

    def end_epoch(self) -> None:
        """Close the epoch (only the form without a window needs it)."""
        self.history.end_epoch()
        super().end_epoch()


class SlidingWindow(PerTask):
    """The last 2 * `window` losses, newest first, which start as ones; weights sum to 1."""

    per_task: ClassVar[Mapping[str, int]] = {"history": 1, "steps": 0}
    total = 1.0

    history: Tensor
    steps: Tensor

    def __init__(self, n_tasks: int, window: int) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.window = window
        self.register_buffer("history", torch.ones(2 * window, n_tasks, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros(n_tasks, dtype=torch.int64))

    def means(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Take in this step's losses [M]; return the newer and the older mean [M]."""
        self.history.copy_(torch.cat((losses[None], self.history[:-1])))
        self.steps += 1
        newer = self.history[: self.window].mean(0)
        older = self.history[self.window :].mean(0)
        return newer, torch.where(self.steps > self.window + 1, older, newer)

    def end_epoch(self) -> None:
        """Epochs mean nothing here."""


class EpochMeans(PerTask):
    """Mean losses of the last two epochs; weights sum to M."""

    per_task: ClassVar[Mapping[str, int]] = {"sums": 0, "count": 0, "newer": 0, "older": 0}

    sums: Tensor
    count: Tensor
    newer: Tensor
    older: Tensor

    def __init__(self, n_tasks: int) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        for name in ("sums", "newer", "older"):
            self.register_buffer(name, torch.zeros(n_tasks, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(n_tasks, dtype=torch.int64))

    @property
    def total(self) -> float:
        """What the weights sum to."""
        return float(self.n_tasks)

    def means(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Add this step's losses [M] to the epoch; return the means [M] of the epochs before."""
        self.sums += losses
        self.count += 1
        return self.newer, self.older  # zeros until two epochs have ended, which makes the weights equal

    def end_epoch(self) -> None:
        """Close the epoch; a task without a step in it keeps its means."""
        empty = self.count == 0
        mean = self.sums / self.count.clamp(min=1)
        self.older.copy_(torch.where(empty, self.older, self.newer))
        self.newer.copy_(torch.where(empty, self.newer, mean))
        self.sums.zero_()
        self.count.zero_()
