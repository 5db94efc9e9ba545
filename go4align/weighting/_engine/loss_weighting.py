"""`LossWeighting`: methods that choose weights from the losses alone."""

from abc import abstractmethod

from torch import Tensor

from go4align.weighting._engine.base import StepRecord, Weighting
from go4align.weighting._engine.shared import Shared


class LossWeighting(Weighting):
    """A method that needs the losses alone. A subclass writes `_weigh`; the rest is here."""

    def _record(self, losses: Tensor, shared: Shared) -> StepRecord:
        return StepRecord(self._weigh(losses))

    @abstractmethod
    def _weigh(self, losses: Tensor) -> Tensor:
        """Update the state from checked, detached losses [M]; returns weights [M] in float64 or the losses' dtype."""
