"""The paper's clustering package, silent, seeded, bounded, never with an empty group."""

import numpy
import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align.grouping import build_grouping, exact_kmeans


def group(values: list[float], n_groups: int | str, **options: object) -> tuple[list[int], list[float]]:
    grouping = build_grouping("kmeans_pytorch", len(values), n_groups, **options)  # type: ignore[arg-type]
    groups = grouping.group(torch.tensor(values, dtype=torch.float64))
    return groups.labels.tolist(), groups.centres.tolist()


@settings(max_examples=100)
@given(st.lists(st.sampled_from([0.0, 1.0, 1.5, 40.0, 1e6]), min_size=1, max_size=10), st.data())
def test_exactly_k_groups_whatever_the_ties(values: list[float], data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, len(values)))
    labels, centres = group(values, n_groups)
    assert sorted(set(labels)) == list(range(n_groups))
    assert centres == sorted(centres)
    for k, centre in enumerate(centres):
        members = [v for v, label in zip(values, labels, strict=True) if label == k]
        assert centre == pytest.approx(sum(members) / len(members))


def test_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    group([1.0, 2.0, 5.0, 6.0], 2)
    assert capfd.readouterr() == ("", "")


def test_is_seeded_and_leaves_global_generators_alone() -> None:
    values = numpy.random.default_rng(0).lognormal(size=40).tolist()
    numpy.random.seed(5)  # noqa: NPY002
    expected = numpy.random.random()  # noqa: NPY002
    numpy.random.seed(5)  # noqa: NPY002
    torch_state = torch.get_rng_state()
    first = group(values, 5, seed=1)
    assert numpy.random.random() == expected  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert group(values, 5, seed=1) == first
    assert any(group(values, 5, seed=seed) != first for seed in range(2, 12))


def test_successive_calls_differ_and_resume() -> None:
    values = here(torch.from_numpy(numpy.random.default_rng(0).lognormal(sigma=3, size=40)))
    whole = build_grouping("kmeans_pytorch", 40, 5)
    runs = [whole.group(values).centres.tolist() for _ in range(6)]
    assert any(run != runs[0] for run in runs)
    resumed = build_grouping("kmeans_pytorch", 40, 5)
    resumed.load_state_dict({"calls": torch.tensor(3)})
    assert [resumed.group(values).centres.tolist() for _ in range(3)] == runs[3:]


def test_three_tasks_reach_the_optimum_and_auto_works() -> None:
    values = [0.35, 8.1, 209.0]
    exact = exact_kmeans(torch.tensor(values, dtype=torch.float64), 2)
    assert group(values, 2) == (exact.labels.tolist(), exact.centres.tolist())
    assert group(values, "auto")[0] == [0, 1, 2]
    assert group([2.0], "auto") == ([0], [2.0])
