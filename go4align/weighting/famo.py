"""FAMO: fast adaptive multitask optimization (Liu et al., NeurIPS 2023)."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from go4align.checks import real_number
from go4align.errors import UserError
from go4align.weighting.base import StepRecord
from go4align.weighting.loss_weighting import LossWeighting


class FAMO(LossWeighting):
    """FAMO: lower all log losses at the same rate, learning task logits from the losses before and after the step.

    Computed by TorchJD, which equals the official code. The record's weights are the factors on the tasks' gradients,
    z / (L + 1e-8) scaled to sum to 1, not the softmax z itself. `after_step` must follow every optimiser step.

    Args:
        n_tasks: number of tasks M.
        weights_lr: learning rate of the logits' own Adam, default 0.025 (paper and official code).
        weight_decay: of the same Adam. Default 1e-5, the official code's default. Also published: 1e-3 (Algorithm 2 of
            the paper, and LibMTL) and 1e-2 (the official CelebA script).
        task_names: M names for error messages.
    """

    needs_losses_after = True
    needs_positive_losses = True

    def __init__(
        self,
        n_tasks: int,
        weights_lr: float = 0.025,
        *,
        weight_decay: float = 1e-5,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        from torchjd import scalarization

        weights_lr, weight_decay = real_number("weights_lr", weights_lr), real_number("weight_decay", weight_decay)
        self.scalarizer = scalarization.FAMO(n_tasks, lr=weights_lr, weight_decay=weight_decay)
        self.scalarizer.double()

    def _weigh(self, losses: Tensor) -> StepRecord:
        leaf = losses.double().requires_grad_()
        with torch.enable_grad():
            (weights,) = torch.autograd.grad(self.scalarizer(leaf), leaf)
        return StepRecord(weights.to(losses.dtype))

    def after_step(self, losses_after: Tensor) -> None:
        """Learn the logits from the losses [M] of the same batch after the optimiser's step.

        Raises:
            UserError: a bad loss (the state is left as it was), or no step before this call.
        """
        if self.scalarizer._prev_losses is None:
            raise UserError("FAMO's `after_step` needs a `backward` before it, found none.")
        self.scalarizer.update(self._checked(losses_after, ahead=0).double())

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """None: the logits have their own Adam and must not join the training optimiser."""
        yield from ()

    def _extra_state(self) -> dict[str, Any]:
        adam = self.scalarizer._optimizer
        state = {"previous": self.scalarizer._prev_losses, "adam": None if adam is None else adam.state_dict()}
        return copy.deepcopy(state)  # Adam changes its tensors in place

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        logits = self.scalarizer._w
        previous, adam = state["previous"], state["adam"]
        self.scalarizer._prev_losses = None if previous is None else previous.to(logits)
        self.scalarizer._optimizer = None
        if adam is not None:
            self.scalarizer._optimizer = torch.optim.Adam([logits])
            self.scalarizer._optimizer.load_state_dict(copy.deepcopy(adam))
