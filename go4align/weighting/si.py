"""SI: the sum of the logarithms of the losses."""

import torch
from torch import Tensor

from go4align.weighting._engine.loss_weighting import LossWeighting


class ScaleInvariant(LossWeighting):
    """SI: minimise sum(log L): a task's weight is 1 / L, so its scale has no influence (a baseline of Navon et al.).

    A loss of zero (or below the smallest normal number of its dtype) counts as the smallest positive loss of the step,
    or 1 where there is none, so that its weight is finite; official code gives infinity there.
    """

    needs_positive_losses = True

    def _weigh(self, losses: Tensor) -> Tensor:
        zero = losses < torch.finfo(losses.dtype).tiny
        smallest = losses.masked_fill(zero, torch.inf).min()
        smallest = torch.where(smallest.isinf(), torch.ones_like(smallest), smallest)
        return torch.where(zero, smallest, losses).reciprocal()
