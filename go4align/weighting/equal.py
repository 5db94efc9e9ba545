"""LS: linear scalarisation, the sum of the losses."""

from torch import Tensor

from go4align.weighting.base import StepRecord
from go4align.weighting.loss_weighting import LossWeighting


class EqualWeighting(LossWeighting):
    """LS: every weight is 1, so the step follows sum(L)."""

    def _weigh(self, losses: Tensor) -> StepRecord:
        return StepRecord(losses.new_ones(self.n_tasks))
