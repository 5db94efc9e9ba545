"""`LossWeighting`: methods that choose weights from the losses alone."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from go4align.weighting.base import Representation, StepRecord, Weighting, detached


class LossWeighting(Weighting):
    """A method that needs the losses alone. A subclass writes `_weigh`; the rest is here."""

    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.weigh`, without any backward pass."""
        checked = self._checked(losses)
        record = self._weigh(checked)
        self.step += 1
        return record

    def backward(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.backward`: the gradient of sum(weights * losses), the weights held fixed."""
        if not losses.requires_grad:
            raise detached()
        record = self.weigh(losses, shared_parameters=shared_parameters, representation=representation)
        losses.backward(record.weights)
        self.learn(losses.detach())
        return record

    @abstractmethod
    def _weigh(self, losses: Tensor) -> StepRecord:
        """Update the state from checked, detached losses [M]; weights come back in the losses' dtype."""
