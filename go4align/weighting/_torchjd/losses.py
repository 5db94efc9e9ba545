"""The weighting around a scalarizer of TorchJD."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torchjd import Stateful
from torchjd.scalarization import Scalarizer

from go4align.checks import real_number
from go4align.weighting._engine.loss_weighting import LossWeighting
from go4align.weighting._torchjd.adapted import Adapted


class OfLosses(Adapted, LossWeighting):
    """A scalarizer S: the weights are its gradient dS/dL at the losses, in float64, so the step is that of S.

    Where a step changes its state, the host looks at the losses on every device, since a bad one must not.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        weights_lr: float = 0.025,
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.weights_lr = real_number("weights_lr", weights_lr)
        example = torch.ones(n_tasks, dtype=torch.float64)
        self.wrapped = self._wrap(self._call, example, seed, options)
        if learns(self.method.kind):
            self.scalarizer = self.wrapped.module

    @staticmethod
    def _call(scalarizer: Any, losses: Tensor) -> Tensor:
        return cast(Tensor, scalarizer(losses))

    @property
    def checks_on_host(self) -> bool:
        changed = self.wrapped.keeps_state and not learns(self.method.kind)
        return changed or self.method.facts.waits or super().checks_on_host

    def _weigh(self, losses: Tensor) -> Tensor:
        leaf = losses.double().requires_grad_()
        with torch.enable_grad():
            (weights,) = torch.autograd.grad(self._scalar(leaf), leaf)
        return weights

    def _scalar(self, losses: Tensor) -> Tensor:
        if self.tasks is None or not learns(self.method.kind):
            return self._present()(losses)
        narrowed = {name: parameter[self.tasks] for name, parameter in self.scalarizer.named_parameters()}
        return cast(Tensor, torch.func.functional_call(self.scalarizer, narrowed, (losses,)))

    def learn(self, losses: Tensor) -> None:
        """The gradient of what the training's optimiser learns; zero for tasks without labels."""
        if learns(self.method.kind):
            self._scalar(losses.double()).backward()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the scalarizer leaves to the training's optimiser, with a learning rate of its own."""
        if not learns(self.method.kind):
            return []
        return [{"params": list(self.scalarizer.parameters()), "lr": self.weights_lr}]

    def _learn_after(self, losses: Tensor) -> None:
        with self.wrapped.told():
            self.wrapped.module.update(losses.double())

    def end_epoch(self) -> None:
        """Tell a scalarizer that counts epochs, too."""
        if hasattr(self.method.kind, "step"):
            self.wrapped.module.step()
        super().end_epoch()


def learns(kind: type[Any]) -> bool:
    """Whether a scalarizer's state is parameters that the training's optimiser steps."""
    return issubclass(kind, Scalarizer) and issubclass(kind, Stateful) and not {"update", "step"} & set(vars(kind))
