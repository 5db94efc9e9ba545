"""The kernel of exact K-means: on a CPU by Triton's interpreter, and compiled for GPUs that are not here."""

import sys
from fractions import Fraction

import numpy
import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from optimal import best, vectors, within
from torch import Tensor

from go4align.arrays import Vector
from go4align.grouping.exact_kmeans import _device_solver, on_device, on_host, solve
from go4align.kernels import MOST_TASKS

fused = pytest.importorskip("go4align.grouping.fused_kmeans", reason="Triton is made for Linux")


def grouped(values: Vector, n_groups: int | str, logarithmic: bool = False) -> tuple[Tensor, Tensor]:
    labels, centres = fused.fused_kmeans(here(torch.from_numpy(values)), n_groups, logarithmic)
    return labels.cpu(), centres.cpu()


@settings(max_examples=40)
@given(vectors, st.data())
def test_is_optimal_with_exactly_k_groups(values: list[float], data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, len(values)))
    labels, centres = grouped(numpy.array(values), n_groups)
    assert sorted(set(labels.tolist())) == list(range(n_groups))
    assert within(values, labels.tolist()) <= best(values, n_groups) * (1 + Fraction(1, 10**12))
    for group, centre in enumerate(centres.tolist()):
        members = [value for value, label in zip(values, labels.tolist(), strict=True) if label == group]
        assert centre == pytest.approx(sum(members) / len(members), rel=1e-14)


@settings(max_examples=40)
@given(st.lists(st.floats(-8, 8) | st.sampled_from([0.0, 1.0, 1.5]), min_size=1, max_size=12), st.booleans())
def test_chooses_the_number_of_groups_as_the_host_does(logs: list[float], logarithmic: bool) -> None:
    values = numpy.array(logs) if logarithmic else numpy.exp(logs)
    labels, centres = grouped(values, "auto", logarithmic)
    expected_labels, expected_centres = on_host(values, "auto", logarithmic)
    assert labels.tolist() == expected_labels.tolist()
    assert len(centres) == len(values)
    numpy.testing.assert_allclose(centres[: len(expected_centres)], expected_centres, rtol=1e-12, atol=1e-12)
    assert centres[len(expected_centres) :].isnan().all()


@pytest.mark.parametrize("n_tasks", [33, 40, 64])
@pytest.mark.parametrize(("n_groups", "logarithmic"), [("auto", False), ("auto", True), (2, False), (33, False)])
def test_solves_for_many_tasks_as_the_host_does(n_tasks: int, n_groups: int | str, logarithmic: bool) -> None:
    logs = numpy.random.default_rng(n_tasks).normal(scale=2.0, size=n_tasks)
    values = logs if logarithmic else numpy.exp(logs)
    labels, centres = grouped(values, n_groups, logarithmic)
    expected_labels, expected_centres = on_host(values, n_groups, logarithmic)
    assert labels.tolist() == expected_labels.tolist()
    numpy.testing.assert_allclose(centres[: len(expected_centres)], expected_centres, rtol=1e-12)


def test_takes_every_other_entry_of_a_vector() -> None:
    every = here(torch.tensor([1.0, 9.0, 5.0, 9.0, 1.1, 9.0], dtype=torch.float64))
    labels, _ = fused.fused_kmeans(every[::2], 2, False)
    assert labels.tolist() == [0, 1, 0]


def solver(n_tasks: int, n_groups: int | str) -> object:
    return _device_solver(torch.get_default_device(), n_tasks, n_groups, False)


@pytest.mark.usefixtures("kernels_tried")
@pytest.mark.parametrize("n_groups", [1, 2, 5, "auto"])
@pytest.mark.parametrize("n_tasks", [1, 5, 11])
def test_is_used_where_it_solves_a_sample_as_the_host_does(n_tasks: int, n_groups: int | str) -> None:
    n_groups = min(n_groups, n_tasks) if isinstance(n_groups, int) else n_groups
    assert solver(n_tasks, n_groups) is fused.fused_kmeans
    values = here(torch.arange(n_tasks, dtype=torch.float64).square())
    for found, expected in zip(solve(values, n_groups, False), on_device(values, n_groups, False), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.usefixtures("kernels_tried")
def test_is_not_asked_for_more_tasks_than_it_takes() -> None:
    assert solver(MOST_TASKS, 2) is fused.fused_kmeans
    assert solver(MOST_TASKS + 1, 2) is on_device


@pytest.mark.usefixtures("kernels_tried")
def test_operations_take_its_place_where_it_finds_other_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: Tensor, n_groups: int, logarithmic: bool) -> tuple[Tensor, Tensor]:
        labels, centres = on_device(values, n_groups, logarithmic)
        return labels.flip(0), centres

    monkeypatch.setattr(fused, "fused_kmeans", wrong)
    with pytest.warns(UserWarning, match=r"exact K-means cannot be used here \(its results differ from the host's\)"):
        assert solver(6, 3) is on_device


@pytest.mark.usefixtures("kernels_tried")
def test_operations_take_its_place_where_it_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify one.")

    monkeypatch.setattr(fused, "fused_kmeans", broken)
    with pytest.warns(UserWarning, match=r"cannot be used here \(Failed to find C compiler.\)\. Training goes on"):
        assert solver(6, "auto") is on_device


def test_nobody_asks_for_it_elsewhere_than_on_a_gpu() -> None:
    assert _device_solver(torch.device("cpu"), 6, 2, False) is on_device
    assert _device_solver(torch.device("meta"), 6, 2, False) is on_device


@pytest.mark.usefixtures("kernels_tried")
def test_operations_take_its_place_where_triton_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, fused.__name__, None)
    with pytest.warns(UserWarning, match="exact K-means cannot be used here"):
        assert solver(6, 3) is on_device
