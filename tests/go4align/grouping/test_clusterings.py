"""What every registered clustering keeps, and what the one or other adds."""

import sys
from functools import partial
from typing import Any

import pytest
import torch
from devices import here

from go4align import UserError
from go4align.errors import SolverWarning
from go4align.grouping import CLUSTERINGS, build_grouping
from go4align.testing import GROUPING_CHECKS

FOUND = ("exact", "kmeans_pytorch", "spectral", "sdp")
WIDE = torch.tensor([2.26, 66.8, 0.357, 1.625, 78668.0, 0.813, 106.6, 108.5, 110.0, 90.2, 16.5], dtype=torch.float64)


def build(name: str, n_tasks: int, n_groups: int | str = "auto", **options: Any) -> Any:
    if name == "given":
        options = {"labels": [min(task, 1) for task in range(n_tasks)], **options}
    return build_grouping(name, n_tasks, n_groups, **options)


@pytest.mark.parametrize("name", CLUSTERINGS)
@pytest.mark.parametrize("check", GROUPING_CHECKS)
def test_every_clustering_keeps_the_contract(name: str, check: str) -> None:
    GROUPING_CHECKS[check](partial(build, name))


@pytest.mark.parametrize("permute", ["once", "each_step"])
def test_what_is_drawn_goes_on_alike(permute: str) -> None:
    options = {"weights": "random", "permute": permute}
    for check in ("equal_seeds_give_equal_groups", "state_and_copies_go_on_alike"):
        GROUPING_CHECKS[check](partial(build, "given", **options))


@pytest.mark.parametrize("name", FOUND)
def test_clear_groups_are_found(name: str) -> None:
    levels = torch.tensor([1.0, 5.0, 9.0], dtype=torch.float64)[torch.tensor([0, 1, 1, 2, 0, 2, 1])]
    values = levels + torch.linspace(0, 0.1, 7, dtype=torch.float64)
    grouping = build(name, 7, 3)
    assert grouping.group(values).labels.tolist() == [0, 1, 1, 2, 0, 2, 1]


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
    assert sorted(set(groups.labels.tolist())) == [0, 1, 2]


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
