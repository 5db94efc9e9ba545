"""The optimisers of the network by name. A new one is a dataclass of its options and a line in `OPTIMIZERS`.

On a GPU they are torch's fused ones, which skip a step without asking the host (`training.skip`).
Parameters that a weighting learns (UW's) join the same optimiser with the learning rate they bring. Weight decay is the
network's alone: it would pull those parameters to zero, which no method means. Only building one imports torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from go4align.checks import flag, real_number
from go4align.errors import UserError

if TYPE_CHECKING:
    from torch import nn, optim

OwnGroups = list[dict[str, Any]]

_FUSED_ON = ("cuda", "xpu", "mps")


class OptimizerChoice(ABC):
    """Builds an optimiser of the network and of the parameters that a weighting learns."""

    @abstractmethod
    def build(self, network: Iterable[nn.Parameter], own: OwnGroups, lr: float) -> optim.Optimizer:
        """The optimiser; its first group is the network's.

        Args:
            network: its parameters.
            own: groups of the weighting's parameters, each with its own `lr`.
            lr: of the network.
        """


@dataclass(frozen=True)
class Adam(OptimizerChoice):
    """Adam (Kingma and Ba 2015), as torch has it; `weight_decay` is an L2 penalty."""

    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _keep_real(self, "weight_decay")

    def build(self, network: Iterable[nn.Parameter], own: OwnGroups, lr: float) -> optim.Optimizer:
        from torch import optim

        groups = _groups(network, own, self.weight_decay)
        return optim.Adam(groups, lr=lr, fused=_fused(groups))


@dataclass(frozen=True)
class AdamW(OptimizerChoice):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); its default is torch's."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        _keep_real(self, "weight_decay")

    def build(self, network: Iterable[nn.Parameter], own: OwnGroups, lr: float) -> optim.Optimizer:
        from torch import optim

        groups = _groups(network, own, self.weight_decay)
        return optim.AdamW(groups, lr=lr, weight_decay=0.0, fused=_fused(groups))


@dataclass(frozen=True)
class SGD(OptimizerChoice):
    """Stochastic gradient descent; `nesterov` needs a momentum above 0."""

    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _keep_real(self, "weight_decay")
        _keep_real(self, "momentum", high=1.0)
        if flag("optimizer.nesterov", self.nesterov) and self.momentum == 0:
            raise UserError("`optimizer.nesterov` has no effect without `momentum`: raise it, or remove `nesterov`.")

    def build(self, network: Iterable[nn.Parameter], own: OwnGroups, lr: float) -> optim.Optimizer:
        from torch import optim

        groups = _groups(network, own, self.weight_decay)
        return optim.SGD(groups, lr=lr, momentum=self.momentum, nesterov=self.nesterov, fused=_fused(groups))


OPTIMIZERS: dict[str, type[OptimizerChoice]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}


def _groups(network: Iterable[nn.Parameter], own: OwnGroups, weight_decay: float) -> OwnGroups:
    return [{"params": list(network), "weight_decay": weight_decay}, *own]


def _fused(groups: OwnGroups) -> bool | None:
    """True where every parameter is on a GPU, else torch's default, whose results on a CPU stay what they were."""
    on_gpu = all(parameter.device.type in _FUSED_ON for group in groups for parameter in group["params"])
    return True if on_gpu else None


def _keep_real(options: object, key: str, **bounds: float) -> None:
    """Check a number and keep it as a float, so that 0 and 0.0 are one configuration."""
    object.__setattr__(options, key, real_number(f"optimizer.{key}", getattr(options, key), **bounds))
