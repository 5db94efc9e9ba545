"""Means over a pass whose parts weigh differently, kept on the device."""

import torch
from torch import Tensor


class Means:
    """Means [n] of values that come as means over parts of known size.

    Sums are float64 and stay on the values' device, so that nothing waits for it before `compute` is read.

    Args:
        n: how many quantities, such as the number of tasks.
    """

    def __init__(self, n: int) -> None:
        self._sum = torch.zeros(n, dtype=torch.float64)
        self._count: Tensor | int = 0

    def update(self, values: Tensor, counts: Tensor | int) -> None:
        """Add a part.

        Args:
            values: [n], means over the part.
            counts: how much each is a mean of: one number, or [n] where quantities differ, such as valid pixels or
                labelled samples per task. A quantity with count 0 adds nothing, whatever its value (NaN, too).
        """
        values = values.detach().double()
        if isinstance(counts, Tensor):
            values = torch.where(counts > 0, values, 0.0)
        self._sum = self._sum.to(values.device) + counts * values
        self._count = self._count + counts

    def compute(self) -> Tensor:
        """The means [n], float64; NaN where nothing was counted."""
        return self._sum / self._count
