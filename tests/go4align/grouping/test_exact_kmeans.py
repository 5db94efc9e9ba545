"""Exact K-means against brute force in rational numbers and against kmeans1d, in numpy and in torch."""

from fractions import Fraction

import kmeans1d
import numpy
import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from optimal import best, spread, vectors, within

from go4align import Groups, UserError, exact_kmeans
from go4align.grouping.exact_kmeans import on_device, on_host
from go4align.grouping.partitions import optimal_partitions, segment_costs


def both(values: list[float], n_groups: int) -> list[Groups]:
    array = numpy.array(values)
    on_gpu = on_device(here(torch.from_numpy(array)), n_groups, False)
    return [Groups(*map(torch.from_numpy, on_host(array, n_groups, False))), Groups(*on_gpu)]


@settings(max_examples=150)
@given(vectors, st.data())
def test_is_optimal_with_exactly_k_groups_on_both_devices(values: list[float], data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, len(values)))
    least = best(values, n_groups)
    for labels, centres in both(values, n_groups):
        assert sorted(set(labels.tolist())) == list(range(n_groups))
        assert within(values, labels.tolist()) <= least * (1 + Fraction(1, 10**12))
        assert (centres.diff() >= 0).all()
        for k, centre in enumerate(centres.tolist()):
            members = [v for v, label in zip(values, labels.tolist(), strict=True) if label == k]
            assert centre == pytest.approx(float(sum(map(Fraction, members)) / len(members)), rel=1e-14)


@settings(max_examples=60)
@given(st.lists(spread, min_size=9, max_size=40, unique=True), st.integers(1, 9))
def test_agrees_with_kmeans1d_on_larger_vectors(values: list[float], n_groups: int) -> None:
    peer = within(values, kmeans1d.cluster(values, n_groups).clusters)
    for labels, _ in both(values, n_groups):
        assert within(values, labels.tolist()) <= peer * (1 + Fraction(1, 10**12))


@settings(max_examples=60)
@given(vectors)
def test_sums_of_all_k_are_those_of_the_partitions(values: list[float]) -> None:
    partitions = optimal_partitions(segment_costs(numpy.array(sorted(values))), len(values))
    for n_groups, found in enumerate(partitions.sums, start=1):
        assert float(found) == pytest.approx(float(best(values, n_groups)), rel=1e-12, abs=1e-300)


def test_values_that_agree_to_eight_digits_are_split_where_they_differ() -> None:
    values = [1e8, 1e8 + 1, 1e8 + 2, 1e8 + 10, 1e8 + 11, 1.0]
    assert exact_kmeans(torch.tensor(values, dtype=torch.float64), 3).labels.tolist() == [1, 1, 1, 2, 2, 0]


def test_ties_leave_no_group_empty_and_centres_exact() -> None:
    for labels, centres in both([0.1] * 7, 4):
        assert sorted(set(labels.tolist())) == [0, 1, 2, 3]
        assert centres.tolist() == [0.1] * 4


def test_accepts_any_floating_dtype_and_a_graph() -> None:
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        groups = exact_kmeans(torch.tensor([3.0, 1.0, 1.5], dtype=dtype, requires_grad=True), 2)
        assert groups.labels.tolist() == [1, 0, 0] and groups.labels.dtype == torch.int64
        assert groups.centres.tolist() == [1.25, 3.0] and groups.centres.dtype == torch.float64


@pytest.mark.parametrize("n_groups", [0, 4, -1, 2.0, True, "two"])
def test_n_groups_out_of_range(n_groups: object) -> None:
    with pytest.raises(UserError, match=r'`n_groups` must be a whole number from 1 to 3 .* or "auto", found'):
        exact_kmeans(torch.ones(3), n_groups)  # type: ignore[arg-type]
