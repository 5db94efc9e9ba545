"""FAMO: fast adaptive multitask optimization (Liu et al., NeurIPS 2023)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.adam import adam

from go4align.checks import real_number
from go4align.weighting._engine.loss_weighting import LossWeighting

_KEPT = ("logits", "previous", "adam_mean", "adam_square")
"""Of each task."""

EPSILON = 1e-8
"""Added to the losses before their logarithm, as in the official code."""
BETAS = (0.9, 0.999)
EPSILON_OF_ADAM = 1e-8


class FAMO(LossWeighting):
    r"""FAMO: lower all log losses at the same rate, learning task logits xi from the losses before and after the step.

    With z = softmax(xi) the step follows the gradient of c sum(z_m log L_m), c = 1 / sum(z_m / L_m) (Algorithm 1), so a
    task's weight is z_m / L_m scaled to sum to 1, not z_m itself; then Adam steps xi along (dz/dxi)' (log L - log L'),
    L' the losses after the step. `after_step` must follow every optimiser step. Equal to TorchJD's and the official
    code, which keep the state where neither `state_dict` nor a device that is not to be waited for can reach it.

    Args:
        n_tasks: number of tasks M.
        weights_lr: learning rate of the logits' own Adam, default 0.025 (paper and official code).
        weight_decay: of the same Adam. Default 1e-5, the official code's default. Also published: 1e-3 (Algorithm 2 of
            the paper, and LibMTL) and 1e-2 (the official CelebA script).
        task_names: M names for error messages.
    """

    needs_losses_after = True
    needs_positive_losses = True
    per_task: ClassVar[Mapping[str, int]] = {**LossWeighting.per_task, **dict.fromkeys(_KEPT, 0)}

    logits: Tensor
    previous: Tensor
    adam_mean: Tensor
    adam_square: Tensor
    adam_steps: Tensor

    def __init__(
        self,
        n_tasks: int,
        weights_lr: float = 0.025,
        *,
        weight_decay: float = 1e-5,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.weights_lr = real_number("weights_lr", weights_lr)
        self.weight_decay = real_number("weight_decay", weight_decay)
        for name in _KEPT:
            self.register_buffer(name, torch.zeros(n_tasks, dtype=torch.float64))
        self.register_buffer("adam_steps", torch.zeros((), dtype=torch.float64))  # bias corrections have its dtype

    def _weigh(self, losses: Tensor) -> Tensor:
        self.previous.copy_(losses)
        shares = self.logits.softmax(0)
        shifted = self.previous + EPSILON
        return shares / (shares / shifted).sum() / shifted

    def _learn_after(self, losses: Tensor) -> None:
        falls = (self.previous + EPSILON).log() - (losses.double() + EPSILON).log()
        gradient = softmax_pull_back(self.logits, falls)
        if not self.checks_on_host:
            self._adam_on_device(gradient)
            return
        adam(
            [self.logits],
            [gradient],
            [self.adam_mean],
            [self.adam_square],
            [],
            [self.adam_steps],
            foreach=False,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.weights_lr,
            weight_decay=self.weight_decay,
            eps=EPSILON_OF_ADAM,
            maximize=False,
        )

    def _adam_on_device(self, gradient: Tensor) -> None:
        """The same with the count of steps on the device, in half the operations of torch's (`capturable`)."""
        first, second = BETAS
        gradient = gradient.add(self.logits, alpha=self.weight_decay)
        self.adam_steps.add_(1)
        self.adam_mean.lerp_(gradient, 1 - first)
        self.adam_square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        mean = self.adam_mean / (1 - first**self.adam_steps)
        square = self.adam_square / (1 - second**self.adam_steps)
        self.logits.addcdiv_(mean, square.sqrt_().add_(EPSILON_OF_ADAM), value=-self.weights_lr)


def softmax_pull_back(logits: Tensor, cotangent: Tensor) -> Tensor:
    """The gradient of <cotangent, softmax(logits)> with respect to the logits [M]."""
    leaf = logits.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(leaf.softmax(0), leaf, cotangent)
    return gradient
