"""LS: linear scalarisation, the sum of the losses."""

from torch import Tensor

from go4align.weighting._engine.loss_weighting import LossWeighting


class EqualWeighting(LossWeighting):
    """LS: every weight is 1, so the step follows sum(L)."""

    takes_scaled_losses = True

    def _weigh(self, losses: Tensor) -> Tensor:
        return losses.new_ones(self.n_tasks)
