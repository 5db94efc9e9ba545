"""The public checks of groupings find real faults: every check refuses something."""

from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from go4align import Groups, UserError
from go4align.arrays import Array, Indices, Matrix, Vector
from go4align.grouping import Grouping, HostGrouping
from go4align.testing import GROUPING_CHECKS, BrokenContractError, check_grouping

pytestmark = pytest.mark.cpu_only("the broken parts compute on the host")


class AboveTheMean(HostGrouping):
    """Without faults."""

    def _label(self, values: Vector, n_groups: int) -> Indices:
        return (values > values.mean()).astype(numpy.intp)


class Descending(AboveTheMean):
    def _group(self, values: Array) -> tuple[Array, Array]:
        labels, centres = super()._group(values)
        return len(centres) - 1 - labels, centres[::-1].copy()


class OneForAll(Grouping):
    def _group(self, values: Array) -> tuple[Array, Array]:
        return numpy.zeros(len(values), numpy.int64), values.mean(keepdims=True)


class Overflows(AboveTheMean):
    def _group(self, values: Array) -> tuple[Array, Array]:
        labels, centres = super()._group(values)
        with numpy.errstate(all="ignore"):
            return labels, (centres * values.max() ** 3) / values.max() ** 3


class DrawsFromElsewhere(Grouping):
    def _group(self, values: Array) -> tuple[Array, Array]:
        return numpy.zeros(len(values), numpy.int64), numpy.random.default_rng().uniform(size=1)


class LabelsAtRandom(HostGrouping):
    def _label(self, values: Vector, n_groups: int) -> Indices:
        return numpy.random.randint(0, n_groups, len(values))  # noqa: NPY002 - the fault


class CountsBesideItsState(Grouping):
    counted = 0

    def _group(self, values: Array) -> tuple[Array, Array]:
        self.counted += 1
        return numpy.zeros(len(values), numpy.int64), values[[self.counted]]


class WritesIntoTheIndicator(AboveTheMean):
    def group(self, indicator: Tensor, gramian: Matrix | None = None) -> Groups:
        return super().group(indicator.mul_(2), gramian)


class CountsAllTasks(Grouping):
    def __init__(self, n_tasks: int, n_groups: int | str = "auto", **options: Any) -> None:
        super().__init__(n_tasks, n_groups, **options)
        self.all_tasks = n_tasks

    def _group(self, values: Array) -> tuple[Array, Array]:
        return numpy.zeros(self.all_tasks, numpy.int64), values.mean(keepdims=True)


class LooksAtGradientsUnasked(AboveTheMean):
    def _grouped(self, values: Array, gramian: Matrix | None) -> tuple[Array, Array]:
        return self._group(values if gramian is None else gramian.diagonal())


FAULTS: dict[type[Grouping], str] = {
    LabelsAtRandom: "equal_seeds_give_equal_groups",
    Descending: "groups_are_complete_and_ordered",
    OneForAll: "exactly_as_many_groups_as_asked_for",
    Overflows: "extreme_values_are_grouped",
    DrawsFromElsewhere: "equal_seeds_give_equal_groups",
    CountsBesideItsState: "state_and_copies_go_on_alike",
    WritesIntoTheIndicator: "indicator_is_left_as_it_is",
    CountsAllTasks: "some_of_the_tasks_can_be_grouped",
    LooksAtGradientsUnasked: "gradients_are_asked_for",
}


def test_a_grouping_without_faults_passes() -> None:
    check_grouping(AboveTheMean)


@pytest.mark.parametrize("broken", FAULTS)
def test_every_fault_is_found_by_its_check(broken: type[Grouping]) -> None:
    with pytest.raises(BrokenContractError, match="A grouping's contract requires .*; found "):
        GROUPING_CHECKS[FAULTS[broken]](broken)


def test_labels_of_another_number_of_tasks_are_one_line() -> None:
    class Short(HostGrouping):
        def _label(self, values: Vector, n_groups: int) -> Indices:
            return numpy.zeros(2, numpy.intp)

    with pytest.raises(UserError, match=r"`_label` of Short must give labels of shape \(5,\), found \(2,\)"):
        Short(5, 2).group(torch.arange(5.0))


def test_every_check_refuses_something() -> None:
    assert set(FAULTS.values()) == set(GROUPING_CHECKS)
