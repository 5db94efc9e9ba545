"""What every registered clustering keeps, and what the one or other adds."""

import copy
import sys
import warnings
from typing import Any

import pytest
import torch
from devices import filled, here
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align import UserError
from go4align.errors import SolverWarning
from go4align.grouping import CLUSTERINGS, Groups, build_grouping

FOUND = [name for name in CLUSTERINGS if name not in ("given", "none")]
WIDE = torch.tensor([2.26, 66.8, 0.357, 1.625, 78668.0, 0.813, 106.6, 108.5, 110.0, 90.2, 16.5], dtype=torch.float64)


def build(name: str, n_tasks: int, n_groups: int | str = "auto", **options: Any) -> Any:
    if name == "given":
        options = {"labels": [min(task, 1) for task in range(n_tasks)], **options}
    return build_grouping(name, n_tasks, n_groups, **options)


def assert_groups(groups: Groups, values: torch.Tensor, *, logarithmic: bool = False, rtol: float = 1e-9) -> None:
    assert groups.labels.dtype == torch.int64 and groups.centres.dtype == torch.float64
    centres = filled(groups.centres)
    assert groups.labels.unique().tolist() == list(range(len(centres)))
    assert (centres.diff() >= 0).all()
    for k, centre in enumerate(centres):
        members = values[groups.labels == k]
        mean = members.log().mean().exp() if logarithmic else members.mean()
        torch.testing.assert_close(centre, mean, rtol=rtol, atol=0)


@pytest.mark.parametrize("name", CLUSTERINGS)
@pytest.mark.parametrize("space", ["linear", "log"])
@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11])
def test_groups_are_complete_and_ordered(name: str, space: str, n_tasks: int) -> None:
    grouping = build(name, n_tasks, space=space)
    values = WIDE[:n_tasks]
    assert_groups(grouping.group(values), values, logarithmic=space == "log")


@pytest.mark.parametrize("name", FOUND)
@settings(max_examples=15)
@given(
    st.lists(st.sampled_from([0.5, 1.0, 1.0000001, 3.0, 200.0, 1e5]), min_size=2, max_size=7),
    st.data(),
)
def test_exactly_as_many_groups_as_asked_for_even_with_ties(
    name: str, values: list[float], data: st.DataObject
) -> None:
    n_groups = data.draw(st.integers(1, len(values)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)
        groups = build(name, len(values), n_groups).group(torch.tensor(values, dtype=torch.float64))
    assert len(groups.centres) == n_groups
    assert_groups(groups, torch.tensor(values, dtype=torch.float64))


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("n_groups", [2, 3])
def test_clear_groups_are_found(name: str, n_groups: int) -> None:
    levels = torch.tensor([1.0, 5.0, 9.0], dtype=torch.float64)[torch.tensor([0, 1, 1, 2, 0, 2, 1])]
    values = levels + torch.linspace(0, 0.1, 7, dtype=torch.float64)
    grouping = build(name, 7, 3)
    assert grouping.group(values).labels.tolist() == [0, 1, 1, 2, 0, 2, 1]


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_equal_calls_give_equal_groups(name: str) -> None:
    one, other = build(name, 11, seed=3), build(name, 11, seed=3)
    for _ in range(3):
        found, expected = one.group(WIDE), other.group(WIDE)
        torch.testing.assert_close(tuple(found), tuple(expected), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_state_and_copies_go_on_alike(name: str) -> None:
    options = {"weights": "random", "permute": "each_step"} if name == "given" else {}
    grouping, other = build(name, 11, seed=3, **options), build(name, 11, seed=4, **options)
    grouping.group(WIDE)
    duplicate = copy.deepcopy(grouping)
    other.load_state_dict(grouping.state_dict())
    other.seed = grouping.seed
    expected = grouping.group(WIDE)
    for found in (other.group(WIDE), duplicate.group(WIDE)):
        torch.testing.assert_close(tuple(found), tuple(expected), rtol=0, atol=0, equal_nan=True)


def test_the_relaxation_is_tight_where_k_means_is_clear_and_near_it_elsewhere() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        values = here(torch.rand(8, generator=generator, dtype=torch.float64, device="cpu"))
        exact, relaxed = (build(name, 8, 3).group(values) for name in ("exact", "sdp"))
        sums = [(values - groups.centres[groups.labels]).square().sum().item() for groups in (exact, relaxed)]
        assert sums[0] <= sums[1] * (1 + 1e-9) <= 1.5 * sums[0]


@pytest.mark.parametrize(
    ("clustering", "package", "extra"),
    [
        ("kmeans_pytorch", "kmeans_pytorch", "clusterings"),
        ("spectral", "sklearn", "clusterings"),
        ("sdp", "cvxpy", "sdp"),
    ],
)
def test_a_missing_extra_is_one_line_with_the_command(
    clustering: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    command = rf'pip install "go4align-study\[{extra}\]"$'
    with pytest.raises(UserError, match=rf'^clustering="{clustering}" needs the extra `{extra}`: {command}'):
        build(clustering, 3)


def test_an_unsolved_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("go4align.grouping.sdp.TOLERANCE", 1e-15)
    monkeypatch.setattr("go4align.grouping.sdp.ITERATIONS", 5)
    with pytest.warns(SolverWarning, match="sdp with 11 tasks: SCS ended with status"):
        groups = build("sdp", 11, 3).group(WIDE)
    assert_groups(groups, WIDE)


LABELS = [0, 1, 1, 2, 0]
VALUES = torch.tensor([4.0, 1.0, 3.0, 0.5, 8.0], dtype=torch.float64)


def test_given_groups_take_their_centres_or_fixed_weights() -> None:
    groups = build("given", 5, labels=LABELS).group(VALUES)
    assert (groups.labels.tolist(), groups.centres.tolist()) == ([2, 1, 1, 0, 2], [0.5, 2.0, 6.0])
    for space in ("linear", "log"):
        groups = build("given", 5, labels=LABELS, weights=[1.0, 5.0, 2.0], space=space).group(VALUES)
        assert groups.labels.tolist() == [0, 2, 2, 1, 0]
        torch.testing.assert_close(groups.centres, torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))


def test_random_weights_have_mean_one_and_change() -> None:
    grouping = build("given", 5, labels=LABELS, weights="random")
    one, other = grouping.group(VALUES).centres, grouping.group(VALUES).centres
    assert one.tolist() != other.tolist()
    assert one.mean().item() == pytest.approx(1) == other.mean().item()


@pytest.mark.parametrize(("permute", "distinct"), [("never", 1), ("once", 1), ("each_step", 10)])
def test_permuted_groups_keep_their_sizes(permute: str, distinct: int) -> None:
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    grouping = build("given", 10, labels=labels, weights=[1.0, 2.0, 3.0, 4.0], permute=permute, seed=1)
    drawn = [tuple(grouping.group(torch.ones(10, dtype=torch.float64)).labels.tolist()) for _ in range(10)]
    assert len(set(drawn)) == distinct
    assert all(sorted(row) == labels for row in drawn)
    assert (drawn[0] == tuple(labels)) == (permute == "never")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("given", {"labels": None}, "needs `labels`, a list of 3 group numbers (one per task), found None."),
        ("given", {"labels": [0, 1]}, "needs `labels`, a list of 3 group numbers (one per task), found [0, 1]."),
        ("given", {"labels": [0, 2, 2]}, "`labels` must use every group from 0 to 2, found none of group 1."),
        ("given", {"labels": [0, 1, 3]}, "`labels` must be a whole number from 0 to 2, found 3."),
        ("given", {"labels": [0, 1, 1], "n_groups": 3}, "`labels` make 2 groups, found n_groups=3."),
        ("given", {"weights": [1.0]}, '`weights` must be "centre", "random" or 2 positive numbers (one per group)'),
        ("given", {"weights": [1.0, 0.0]}, "`weights` must be a finite number greater than 0, found 0.0."),
        ("given", {"permute": "always"}, "Unknown permute 'always'."),
        ("given", {"lables": [0, 1, 1]}, "Unknown option of clustering 'given' 'lables'. Did you mean 'labels'?"),
        ("exact", {"labels": [0, 1, 1]}, "Unknown option of clustering 'exact' 'labels'."),
        ("none", {"n_groups": 2}, "makes 3 groups of 3 tasks, found n_groups=2."),
        ("spectrall", {}, "Did you mean 'spectral'?"),
    ],
)
def test_messages(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build(name, 3, **options)
    assert message in str(error.value)
