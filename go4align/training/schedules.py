"""The schedules of the learning rate by name. A new one is a dataclass of its options and a line in `SCHEDULES`.

A schedule scales every group's own learning rate, those of a weighting's parameters too (as published: StepLR halves
UW's on NYUv2). It moves after every step or after every epoch, by the hook that it fills in. Only
building one imports torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from go4align.checks import real_number, whole_number
from go4align.errors import UserError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class Schedule(ABC):
    """How the learning rate moves."""

    @abstractmethod
    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        """torch's scheduler for a run of this length."""

    def check(self, epochs: int) -> None:  # noqa: B027 - a hook: most schedules move in any run
        """Refuse a run in which this schedule would never move.

        Raises:
            UserError: it would not.
        """

    def after_step(self, scheduler: Any) -> None:  # noqa: B027 - a hook of schedules that move per step
        """Move after a training step."""

    def after_epoch(self, scheduler: Any, value: float) -> None:  # noqa: B027 - a hook of those that move per epoch
        """Move after an epoch, given the value that selection watches (lower is better)."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays."""

    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, lambda _: 1.0)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Anneals to zero over all steps of the run, along half a cosine (Loshchilov and Hutter 2017)."""

    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        from torch.optim.lr_scheduler import CosineAnnealingLR

        return CosineAnnealingLR(optimizer, T_max=epochs * steps_per_epoch)

    def after_step(self, scheduler: Any) -> None:
        scheduler.step()


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rises from lr / `start` to lr over the share `warmup` of all steps, then falls towards lr / `end`, both along
    half a cosine (Smith and Topin 2018; torch's OneCycleLR without its cycle of momentum)."""

    warmup: float = 0.3
    start: float = 25.0
    end: float = 2.5e5

    def __post_init__(self) -> None:
        _keep_real(self, "warmup", high=1.0)
        for key in ("start", "end"):
            _keep_real(self, key, above=1.0)

    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        from torch.optim.lr_scheduler import LambdaLR

        total = epochs * steps_per_epoch
        rising = self.warmup * total

        def factor(step: int) -> float:
            if step < rising:
                return _along_cosine(1 / self.start, 1.0, step / rising)
            return _along_cosine(1.0, 1 / self.end, (step - rising) / (total - rising) if step > rising else 0.0)

        return LambdaLR(optimizer, factor)

    def after_step(self, scheduler: Any) -> None:
        scheduler.step()


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplies the learning rate by `factor` after every `every` epochs; the defaults are NYUv2's and CityScapes'."""

    every: int = 100
    factor: float = 0.5

    def __post_init__(self) -> None:
        whole_number("schedule.every", self.every, 1)
        _keep_factor(self)

    def check(self, epochs: int) -> None:
        if self.every >= epochs:
            raise UserError(
                f"`schedule.every` must be below `epochs` = {epochs}, found {self.every}: the schedule 'step' would "
                "never move. Lower it, or write `schedule: constant`."
            )

    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        from torch.optim.lr_scheduler import StepLR

        return StepLR(optimizer, step_size=self.every, gamma=self.factor)

    def after_epoch(self, scheduler: Any, value: float) -> None:
        scheduler.step()


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement of the watched value, down
    to `min_lr`; the defaults are the published QM9 protocol's."""

    factor: float = 0.7
    patience: int = 5
    min_lr: float = 1e-5

    def __post_init__(self) -> None:
        _keep_factor(self)
        whole_number("schedule.patience", self.patience, 0)
        _keep_real(self, "min_lr")

    def build(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return ReduceLROnPlateau(optimizer, factor=self.factor, patience=self.patience, min_lr=self.min_lr)

    def after_epoch(self, scheduler: Any, value: float) -> None:
        scheduler.step(value)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
    "step": Step,
}


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _keep_factor(options: Any) -> None:
    _keep_real(options, "factor", above=0.0, high=1.0)
    if options.factor == 1.0:
        raise UserError("`schedule.factor` must be below 1, found 1: it would change nothing. `schedule: constant`?")


def _keep_real(options: object, key: str, **bounds: float) -> None:
    """Check a number and keep it as a float, so that 1 and 1.0 are one configuration."""
    object.__setattr__(options, key, real_number(f"schedule.{key}", getattr(options, key), **bounds))
