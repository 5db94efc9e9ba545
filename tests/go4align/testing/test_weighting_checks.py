"""The public checks of weightings and indicators find real faults: every check refuses something."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy
import pytest
import torch
from torch import Tensor, nn

from go4align import StepRecord, Weighting
from go4align.testing import (
    INDICATOR_CHECKS,
    WEIGHTING_CHECKS,
    BrokenContractError,
    check_indicator,
    check_weighting,
)
from go4align.weighting import LossWeighting

pytestmark = pytest.mark.cpu_only("some checks are of what only a CPU does")


class Fair(LossWeighting):
    """Without faults: the inverse of each task's mean loss so far."""

    per_task: ClassVar[Mapping[str, int]] = {**LossWeighting.per_task, "total": 0, "count": 0}
    needs_positive_losses = True

    def __init__(self, n_tasks: int, **options: Any) -> None:
        super().__init__(n_tasks, **options)
        self.register_buffer("total", torch.zeros(n_tasks, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(n_tasks, dtype=torch.float64))

    def _weigh(self, losses: Tensor) -> Tensor:
        self.total += losses
        self.count += 1
        return self.count / (self.total + 1e-3)


class Plain(LossWeighting):
    """Without faults, for these to be put in."""

    def _weigh(self, losses: Tensor) -> Tensor:
        return torch.ones_like(losses)


class TakesLists(Plain):
    def weigh(self, losses: Any, **options: Any) -> StepRecord:
        return super().weigh(torch.as_tensor(losses), **options)


class LabelsWithoutCentres(Plain):
    def _record(self, losses: Tensor, shared: Any) -> StepRecord:
        return StepRecord(torch.ones_like(losses), torch.zeros_like(losses, dtype=torch.int64))


class RecordsOtherWeights(Plain):
    def backward(self, losses: Tensor, **options: Any) -> StepRecord:
        record = super().backward(losses, **options)
        return record._replace(weights=2 * record.weights)


class LearnsFromBadLosses(Fair):
    def _checked(self, losses: Tensor, ahead: int = 1) -> Any:
        self.total += 1
        return super()._checked(losses, ahead)


class KeepsItsParameters(Plain):
    def __init__(self, n_tasks: int, **options: Any) -> None:
        super().__init__(n_tasks, **options)
        self.hidden = nn.Parameter(torch.zeros(n_tasks, dtype=torch.float64))


class FollowsTheModelsDtype(Fair):
    _apply = nn.Module._apply  # type: ignore[assignment]


class DrawsFromElsewhere(Plain):
    def _weigh(self, losses: Tensor) -> Tensor:
        return torch.from_numpy(numpy.random.default_rng().uniform(1, 2, len(losses)))


class PrefersTheFirst(Plain):
    def _weigh(self, losses: Tensor) -> Tensor:
        return 1.0 / torch.arange(1.0, len(losses) + 1)


class LooksAtValues(Plain):
    def _weigh(self, losses: Tensor) -> Tensor:
        return torch.ones_like(losses) if sum(losses.tolist()) else torch.zeros_like(losses)


class DividesByZero(Plain):
    def _weigh(self, losses: Tensor) -> Tensor:
        return 1.0 / losses.double()


class KeepsEveryLoss(Plain):
    def __init__(self, n_tasks: int, **options: Any) -> None:
        super().__init__(n_tasks, **options)
        self.register_buffer("history", torch.zeros(0, n_tasks))

    def _weigh(self, losses: Tensor) -> Tensor:
        self.history = torch.cat([self.history, losses[None]])
        return torch.ones_like(losses)


class CountsBesideItsState(Plain):
    counted = 0

    def _weigh(self, losses: Tensor) -> Tensor:
        self.counted += 1
        return torch.full_like(losses, 1.0 / self.counted)


class IgnoresLabels(Plain):
    def backward(self, losses: Tensor, *, labelled: Tensor | None = None, **options: Any) -> StepRecord:
        return super().backward(losses.nan_to_num(), **options)


class CountsAllTasks(Plain):
    def __init__(self, n_tasks: int, **options: Any) -> None:
        super().__init__(n_tasks, **options)
        self.all_tasks = n_tasks

    def _weigh(self, losses: Tensor) -> Tensor:
        return torch.full_like(losses, 1.0 / self.all_tasks)


class TreatsLabelsApart(Plain):
    def backward(self, losses: Tensor, *, labelled: Tensor | None = None, **options: Any) -> StepRecord:
        return super().backward(losses if labelled is None else 2 * losses, labelled=labelled, **options)


class CountsEveryBatch(Fair):
    def backward(self, losses: Tensor, **options: Any) -> StepRecord:
        self.count += 1
        return super().backward(losses, **options)


class NeverLooksAtGradients(Plain):
    def _accumulate(self, losses: Tensor, weights: Tensor) -> None:
        losses.backward(weights)


class NeverLooksAtWeights(Plain):
    def _weigh(self, losses: Tensor) -> Tensor:
        return 1.0 / (losses.double() + 1e-12)

    def _accumulate(self, losses: Tensor, weights: Tensor) -> None:
        losses.backward(weights.to(losses.dtype))


class SaysItTakesScaledLosses(Fair):
    takes_scaled_losses = True


FAULTS: dict[type[Weighting], list[str]] = {
    TakesLists: ["wrong_losses_are_refused"],
    LabelsWithoutCentres: ["records_are_complete"],
    RecordsOtherWeights: ["weights_multiply_the_gradients"],
    LearnsFromBadLosses: ["bad_losses_change_nothing"],
    KeepsItsParameters: ["learnable_parameters_join_the_optimiser"],
    FollowsTheModelsDtype: ["state_stays_in_double_precision"],
    DrawsFromElsewhere: ["seed_decides_all"],
    PrefersTheFirst: ["order_of_tasks_does_not_matter"],
    LooksAtValues: ["nothing_waits_for_the_device"],
    DividesByZero: ["extreme_losses_give_finite_weights"],
    KeepsEveryLoss: ["state_does_not_grow"],
    CountsBesideItsState: ["resumed_run_is_the_whole_one"],
    IgnoresLabels: ["absent_tasks_are_left_alone", "labelled_bad_losses_change_nothing"],
    CountsAllTasks: ["other_tasks_are_weighted_as_if_alone"],
    TreatsLabelsApart: ["all_labelled_is_saying_nothing"],
    CountsEveryBatch: ["without_labels_nothing_happens"],
    NeverLooksAtGradients: ["overflow_leaves_gradients_as_they_were", "bad_gradients_are_refused"],
    NeverLooksAtWeights: ["what_is_written_is_finite"],
    SaysItTakesScaledLosses: ["scaled_losses_are_taken_or_refused"],
}


class NoIndicator(Fair):
    is_indicator = False


class GroupsSomethingElse(Fair):
    def grouped_by(self, grouping: Any, losses: Tensor, *others: Any) -> Any:
        return grouping.group(losses)


class SpreadsOverAll(Fair):
    def spread(self, name: str, whole: Tensor, part: Tensor, tasks: Tensor) -> None:
        whole.add_(1)


FAULTS_OF_INDICATORS: dict[type[Weighting], str] = {
    GroupsSomethingElse: "weights_can_be_grouped",
    CountsBesideItsState: "grouped_run_resumes",
    SpreadsOverAll: "absent_tasks_have_no_group",
}


@pytest.mark.parametrize("whole", [Fair, Plain])
def test_a_weighting_without_faults_passes(whole: type[Weighting]) -> None:
    check_weighting(whole)


def test_an_indicator_without_faults_passes_and_others_say_that_they_are_none() -> None:
    check_indicator(Fair)
    with pytest.raises(BrokenContractError, match="An indicator's contract requires `is_indicator`; found False"):
        check_indicator(NoIndicator)


@pytest.mark.parametrize(("broken", "check"), [(cls, check) for cls, checks in FAULTS.items() for check in checks])
def test_every_fault_is_found_by_its_check(broken: type[Weighting], check: str) -> None:
    with pytest.raises(BrokenContractError, match="A weighting's contract requires .*; found "):
        WEIGHTING_CHECKS[check](broken)


@pytest.mark.parametrize("broken", FAULTS_OF_INDICATORS)
def test_every_fault_of_an_indicator_is_found_by_its_check(broken: type[Weighting]) -> None:
    check: Callable[[Any], None] = INDICATOR_CHECKS[FAULTS_OF_INDICATORS[broken]]
    with pytest.raises(BrokenContractError, match="contract requires .*; found "):
        check(broken)


def test_every_check_refuses_something() -> None:
    assert {check for checks in FAULTS.values() for check in checks} == set(WEIGHTING_CHECKS)
    assert set(FAULTS_OF_INDICATORS.values()) == set(INDICATOR_CHECKS)
