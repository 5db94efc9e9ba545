"""Groups of tasks by the directions of their gradients."""

from typing import Any

import numpy
import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster._spectral import cluster_qr

from go4align import GO4Align, UserError, build_weighting
from go4align.arrays import Matrix
from go4align.grouping import build_grouping
from go4align.grouping.by_gradients import cosines
from go4align.grouping.gradient_affinity import pivoted_labels

INDICATOR = torch.tensor([3.0, 1.0, 2.0, 8.0, 5.0], dtype=torch.float64)


def labels_of(rows: Any, n_groups: int | str = "auto") -> list[int]:
    """The groups of tasks with these gradients, all whose indicators are squares."""
    jacobian = numpy.asarray(rows, float)
    grouping = build_grouping("gradient_affinity", len(jacobian), n_groups)
    indicator = torch.arange(1.0, len(jacobian) + 1, dtype=torch.float64).square()
    labels: list[int] = grouping.group(indicator, jacobian @ jacobian.T).labels.tolist()
    return labels


def test_tasks_whose_gradients_point_alike_are_one_group_whatever_their_lengths() -> None:
    rows = [[1.0, 0.1, 0.0], [0.0, 0.2, 3.0], [1e-6, 0.0, 0.0], [0.0, 0.0, 1e4], [50.0, -2.0, 1.0]]
    assert labels_of(rows) == labels_of(rows, 2) == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("rows", "n_groups"),
    [
        (numpy.eye(4), 4),
        (numpy.ones((4, 2)), 1),
        ([[1.0, 0.0], [-1.0, 0.0]], 2),
        ([[1.0, 0.0], [0.34, 0.94]], 1),
        ([[1.0, 0.0], [0.32, 0.947]], 2),
        (numpy.zeros((3, 2)), 3),
        ([[5.0]], 1),
    ],
    ids=["orthogonal", "equal", "opposed", "cosine above 1/3", "cosine below 1/3", "zero", "one task"],
)
def test_the_number_of_groups_is_where_the_spectrum_has_its_gap(rows: Any, n_groups: int) -> None:
    assert max(labels_of(rows)) + 1 == n_groups


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**16))
def test_well_separated_directions_are_found_and_so_is_their_number(k: int, size: int, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    member = random.permutation(numpy.arange(k).repeat(size))
    rows = numpy.eye(k, 40)[member] + 0.02 * random.normal(size=(len(member), 40))
    rows *= 10.0 ** random.uniform(-3, 3, size=(len(member), 1))
    found = numpy.array(labels_of(rows))
    assert found.max() + 1 == k
    numpy.testing.assert_array_equal(found[:, None] == found, member[:, None] == member)


@settings(max_examples=40)
@given(st.integers(2, 9), st.data())
def test_labels_are_those_of_scikit_learns_pivoted_qr(n_tasks: int, data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, n_tasks))
    random = numpy.random.default_rng(data.draw(st.integers(0, 2**16)))
    vectors = numpy.linalg.qr(random.normal(size=(n_tasks, n_groups)))[0]
    found, expected = pivoted_labels(vectors), cluster_qr(vectors)
    numpy.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_cosines_of_extreme_lengths() -> None:
    lengths = numpy.array([0.0, 1e-150, 1.0, 1e150])
    found = cosines(numpy.outer(lengths, lengths))
    numpy.testing.assert_allclose(found, [[1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]], rtol=1e-12)


def gramian_of(rows: torch.Tensor) -> Matrix:
    found: Matrix = (rows @ rows.T).cpu().numpy()
    return found


@pytest.mark.parametrize("form", ["stored", "layerwise", "representation"])
def test_a_step_groups_by_the_gradients_and_weighs_by_the_indicator(form: str) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, heads = (here(torch.randn(5, 4, generator=generator, device="cpu")) for _ in range(2))
    layer = torch.nn.Linear(4, 4, bias=False)
    weighting = build_weighting(
        "go4align", 5, n_groups=2, clustering="gradient_affinity", clustering_options={"gramian": form}
    )
    assert weighting.needs_gradients and weighting.uses_representation == (form != "stored")
    plain = build_weighting("go4align", 5, clustering="none")
    z = layer(inputs)
    losses = (z @ heads.T).square().mean(0)
    place = z if form == "representation" else layer.weight
    rows = [torch.autograd.grad(loss, place, retain_graph=True)[0].flatten() for loss in losses]
    indicator = plain.weigh(losses.detach()).weights
    told = z if form != "stored" else None
    record = weighting.backward(losses, shared_parameters=[layer.weight], representation=told)
    expected = build_grouping("gradient_affinity", 5, 2).group(indicator, gramian_of(torch.stack(rows).double()))
    assert record.labels is not None and record.labels.tolist() == expected.labels.tolist()
    torch.testing.assert_close(record.weights, expected.centres[expected.labels].float(), rtol=1e-5, atol=0)
    again = (layer(inputs) @ heads.T).square().mean(0)
    weighted = torch.autograd.grad(again @ record.weights, layer.weight)
    torch.testing.assert_close(layer.weight.grad, weighted[0])


def test_what_is_missing_is_one_line() -> None:
    weighting = build_weighting("go4align", 2, clustering="gradient_affinity")
    theta = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(UserError, match="`shared_parameters` must name at least one parameter"):
        weighting.backward(theta * 1)
    with pytest.raises(UserError, match="gradient of 'task 1' must be finite"):
        weighting.backward(torch.stack([theta[0], (theta[1] - 1).sqrt()]), shared_parameters=[theta])
    assert int(weighting.step) == 0 and theta.grad is None
    with pytest.raises(UserError, match=r"needs the Gramian .* of shape \(2, 2\), found none"):
        build_grouping("gradient_affinity", 2).group(INDICATOR[:2])
    with pytest.raises(UserError, match="Unknown gramian 'store'. Did you mean 'stored'"):
        build_grouping("gradient_affinity", 2, gramian="store")


def test_parts_that_are_built_already_make_the_same_method() -> None:
    named = build_weighting("go4align", 3, n_groups=2, clustering="spectral", indicator="si", normalise=True)
    made = GO4Align.of(named.indicator, named.grouping, normalise=True)
    losses = torch.tensor([1.0, 2.0, 9.0])
    torch.testing.assert_close(made.weigh(losses).weights, named.weigh(losses).weights)
    with pytest.raises(UserError, match="must be a Weighting whose weights can be grouped, found GO4Align"):
        GO4Align.of(named, named.grouping)
    with pytest.raises(UserError, match="`grouping` must be of 3 tasks, found one of 2"):
        GO4Align.of(named.indicator, build_grouping("exact", 2))
