"""n_groups="auto": clear groupings are found, in both spaces, on both code paths."""

import numpy
import pytest
import torch
from devices import filled, here
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align.grouping import build_grouping
from go4align.grouping.choose_k import Choice, choose_k
from go4align.grouping.exact_kmeans import on_device, on_host

# 1 / loss of mu alpha homo lumo r2 zpve U0 U H G Cv of QM9 in their own units, each loss the variance of its target.
QM9 = [1 / v for v in (2.26, 66.8, 0.357, 1.625, 78668.0, 0.813, 106.6, 108.5, 110.0, 90.2, 16.5)]


def chosen(values: list[float], space: str) -> int:
    groups = build_grouping("exact", len(values), "auto", space=space).group(torch.tensor(values, dtype=torch.float64))
    return len(filled(groups.centres))


def clear_groups(seed: int, sizes: list[int], ratio: float, jitter: float) -> list[float]:
    random = numpy.random.default_rng(seed)
    return [float(ratio**g * (1 + jitter * random.uniform(-1, 1))) for g, n in enumerate(sizes) for _ in range(n)]


@pytest.mark.parametrize(("space", "ratio"), [("linear", 2.0), ("log", 2.0), ("log", 10.0)])
@pytest.mark.parametrize("sizes", [[5], [3, 3], [1, 4, 2], [4, 4, 3], [2, 1, 3, 2, 3]])
def test_clear_groupings(sizes: list[int], ratio: float, space: str) -> None:
    for seed in range(10):
        assert chosen(clear_groups(seed, sizes, ratio, 0.03), space) == len(sizes)


def test_forty_tasks_in_three_groups() -> None:
    for space in ("linear", "log"):
        assert chosen(clear_groups(0, [20, 12, 8], 2.0, 0.05), space) == 3


@pytest.mark.parametrize("space", ["linear", "log"])
def test_tasks_that_are_alike_make_one_group(space: str) -> None:
    assert chosen([0.7] * 11, space) == 1
    assert chosen([0.7], space) == 1
    assert chosen([1.0, 1.05], space) == 1
    assert chosen([1.0, 3.0], space) == 2
    assert chosen(clear_groups(0, [40], 1.0, 0.05), space) == 1


def test_no_task_is_left_with_neighbours_far_above_it() -> None:
    """Linear K-means at K = 5 gives r2 a weight 700 times its indicator, and r2 then rules the training."""
    for space in ("linear", "log"):
        groups = build_grouping("exact", 11, "auto", space=space).group(torch.tensor(QM9, dtype=torch.float64))
        factors = (groups.centres[groups.labels] / torch.tensor(QM9, dtype=torch.float64)).log().abs()
        assert factors.max() < 0.5
        assert (groups.labels == groups.labels[4]).sum() == 1
    assert chosen(QM9, "linear") >= 8


def test_an_indicator_that_underflowed_is_no_obstacle() -> None:
    assert chosen([0.0, 1.0, 1.01], "linear") == 2
    assert chosen([0.0, 1.0, 1.01], "log") == 2


@given(st.lists(st.sampled_from([0.0, 0.01, 0.1, 0.4, 1.0, 30.0]) | st.floats(0, 50), min_size=1, max_size=40))
def test_sums_told_one_by_one_are_chosen_from_like_all_at_once(misfits: list[float]) -> None:
    choice = Choice(len(misfits))
    told = next(k for k, misfit in enumerate(misfits, start=1) if not choice.goes_on(misfit))
    assert choice.best == int(choose_k(torch.tensor(misfits, dtype=torch.float64))) + 1 <= told


def test_forty_tasks_in_clear_groups_are_not_split_further_than_can_win() -> None:
    """A host takes one step for each number of groups that it looks at."""
    choice = Choice(40)
    told = next(k for k, misfit in enumerate([30.0, 8.0, 0.05, *[0.04] * 37], start=1) if not choice.goes_on(misfit))
    assert (choice.best, told) == (3, 3)


@settings(max_examples=150)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=12), st.booleans())
def test_numpy_and_torch_choose_alike(logs: list[float], logarithmic: bool) -> None:
    values = numpy.array(logs) if logarithmic else numpy.exp(logs)
    labels, centres = on_host(values, "auto", logarithmic)
    other_labels, other_centres = on_device(here(torch.from_numpy(values)), "auto", logarithmic)
    assert other_labels.tolist() == labels.tolist()
    assert len(other_centres) == len(values)
    numpy.testing.assert_allclose(other_centres[: len(centres)].cpu(), centres, rtol=1e-12, atol=1e-12)
    assert other_centres[len(centres) :].isnan().all()
