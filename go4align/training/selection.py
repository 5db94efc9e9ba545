"""Selection: which epochs of a run count, by a rule and the value that it watches on validation.

Rules by name are in `SELECTIONS`. A rule is data; what it remembers of a run is a `Selector`, part of its checkpoint.
The test split is read as the rule says, and nothing here or elsewhere acts on what it gives.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from go4align.checks import whole_number
from go4align.errors import UserError
from go4align.metrics import Evaluation
from go4align.training.watching import DELTA_M

if TYPE_CHECKING:
    from torch import nn

Evaluate = Callable[[], Evaluation]


class Selector(ABC):
    """What a rule has selected of a run so far.

    Attributes:
        value: the rule's value so far, lower is better; infinite before the first epoch.
        stale_epochs: epochs since the value improved, where the rule asks for improvement at all.
    """

    value: float = math.inf
    stale_epochs: int = 0

    @abstractmethod
    def update(self, value: float, validation: Evaluation, model: nn.Module) -> None:
        """Take an epoch in: its watched value, its evaluation on validation, and the model after it."""

    @abstractmethod
    def after_epoch(self, epoch: int, test: Evaluate) -> None:
        """Read the test split after an epoch (from 1), if the rule says so; only for runs that are tested."""

    @abstractmethod
    def validation(self) -> Evaluation:
        """The evaluation on validation of what was selected."""

    @abstractmethod
    def test(self, model: nn.Module, test: Evaluate) -> Evaluation:
        """The evaluation on the test split of what was selected, at the end of a run; the model is left as it is."""

    def network(self, model: nn.Module) -> dict[str, Any]:
        """The weights that a run leaves, at its end: those that were selected; default the model's last."""
        return model.state_dict()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""


class Selection(ABC):
    """A rule."""

    metric: str

    @abstractmethod
    def begin(self, epochs: int) -> Selector:
        """A fresh selector for a run of so many epochs."""

    def check(self, epochs: int, patience: int | None) -> None:  # noqa: B027 - a hook
        """Refuse a run that the rule does not fit.

        Raises:
            UserError: it does not.
        """


@dataclass(frozen=True)
class BestEpoch(Selection):
    """The epoch with the lowest watched value. The test split is read once, at the end, with that epoch's model."""

    metric: str = DELTA_M

    def __post_init__(self) -> None:
        _check_metric(self.metric)

    def begin(self, epochs: int) -> Selector:
        return _Best()


@dataclass(frozen=True)
class MeanOfLast(Selection):
    """The means over the last `epochs` epochs of a run, of the watched value, losses and metrics alike, as published
    for NYUv2 and CityScapes. The test split is read in exactly these epochs."""

    epochs: int = 10
    metric: str = DELTA_M

    def __post_init__(self) -> None:
        whole_number("selection.epochs", self.epochs, 1)
        _check_metric(self.metric)

    def begin(self, epochs: int) -> Selector:
        return _Last(self.epochs, first=epochs - self.epochs + 1)

    def check(self, epochs: int, patience: int | None) -> None:
        if self.epochs > epochs:
            raise UserError(f"`selection.epochs` must be at most `epochs` = {epochs}, found {self.epochs}. Lower it.")
        if patience is not None:
            raise UserError(
                f"`patience` has no effect with the selection 'mean_of_last', whose runs never end early, found "
                f"{patience}. Write `patience: null`, or `selection: best`."
            )


SELECTIONS: dict[str, type[Selection]] = {"best": BestEpoch, "mean_of_last": MeanOfLast}


class _Best(Selector):
    def __init__(self) -> None:
        self._validation: Evaluation | None = None
        self._model: dict[str, Any] = {}

    def update(self, value: float, validation: Evaluation, model: nn.Module) -> None:
        self.stale_epochs += 1
        if value < self.value:
            self.value = value
            self.stale_epochs = 0
            self._validation = validation
            self._model = copy.deepcopy(model.state_dict())

    def after_epoch(self, epoch: int, test: Evaluate) -> None:
        """Never: not before the end."""

    def validation(self) -> Evaluation:
        if self._validation is None:
            raise UserError("A run must have an epoch with a finite watched value before one is selected, found none.")
        return self._validation

    def test(self, model: nn.Module, test: Evaluate) -> Evaluation:
        self.validation()
        present = copy.deepcopy(model.state_dict())
        model.load_state_dict(self._model)
        evaluation = test()
        model.load_state_dict(present)
        return evaluation

    def network(self, model: nn.Module) -> dict[str, Any]:
        self.validation()
        return self._model

    def state_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "stale_epochs": self.stale_epochs,
            "validation": None if self._validation is None else asdict(self._validation),
            "model": self._model,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]
        self.stale_epochs = state["stale_epochs"]
        self._validation = None if state["validation"] is None else Evaluation(**state["validation"])
        self._model = state["model"]


class _Last(Selector):
    """`first`: the first of the run's last `count` epochs."""

    def __init__(self, count: int, first: int) -> None:
        self._count = count
        self._first = first
        self._values: list[float] = []
        self._validations: list[Evaluation] = []
        self._tests: list[Evaluation] = []

    def update(self, value: float, validation: Evaluation, model: nn.Module) -> None:
        self._values = [*self._values, value][-self._count :]
        self._validations = [*self._validations, validation][-self._count :]
        self.value = fmean(self._values)

    def after_epoch(self, epoch: int, test: Evaluate) -> None:
        if epoch >= self._first:
            self._tests.append(test())

    def validation(self) -> Evaluation:
        return mean_evaluation(self._validations)

    def test(self, model: nn.Module, test: Evaluate) -> Evaluation:
        return mean_evaluation(self._tests)

    def state_dict(self) -> dict[str, Any]:
        return {
            "values": self._values,
            "validations": [asdict(evaluation) for evaluation in self._validations],
            "tests": [asdict(evaluation) for evaluation in self._tests],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._values = state["values"]
        self._validations = [Evaluation(**evaluation) for evaluation in state["validations"]]
        self._tests = [Evaluation(**evaluation) for evaluation in state["tests"]]
        self.value = fmean(self._values) if self._values else math.inf


def mean_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Means over epochs, of every loss and metric.

    Raises:
        UserError: there is none.
    """
    if not evaluations:
        raise UserError("A mean over epochs needs at least one evaluation, found none: train the last epochs first.")
    return Evaluation(
        losses=tuple(map(fmean, zip(*(evaluation.losses for evaluation in evaluations), strict=True))),
        metrics={key: fmean(evaluation.metrics[key] for evaluation in evaluations) for key in evaluations[0].metrics},
    )


def _check_metric(found: object) -> None:
    if not isinstance(found, str) or not found:
        raise UserError(f"`selection.metric` must be `delta_m`, `loss` or the name of a metric, found {found!r}.")
