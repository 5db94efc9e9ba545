"""The contract of groupings: indicator in, K groups out, none of them empty."""

import copy
import random
import warnings
from collections.abc import Callable, Sequence

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix
from go4align.errors import SolverWarning, UserError
from go4align.grouping import Grouping, Groups
from go4align.narrowing import narrowed
from go4align.testing.common import near, refusal, requirement, same

BuildGrouping = Callable[..., Grouping]
"""A class, or a function like one: called with `n_tasks` and `n_groups`, and `space` and `seed` by name."""
GroupingCheck = Callable[[BuildGrouping], None]

WIDE = (2.26, 66.8, 0.357, 1.625, 78668.0, 0.813, 106.6, 108.5, 110.0, 90.2, 16.5)
TIED = ((0.5, 0.5, 1.0, 1.0000001, 3.0, 200.0, 200.0), (2.0, 2.0, 2.0, 2.0, 2.0), (1e5, 0.5, 1e5), (3.0, 1.0), (7.0,))
EXTREME = ((1e-300, 1.0, 1e147, 1e147), (0.0, 0.0, 0.0), (0.0, 1e-310, 5.0), (1e-308, 2e-308, 3e-308, 1e-307))
_require = requirement("grouping")


def check_grouping(build: BuildGrouping) -> None:
    """Check all that `GO4Align` relies on.

    A grouping that makes a number of groups of its own may refuse another `n_groups` (`UserError`); then only "auto" is
    checked.

    Args:
        build: the class, or a function like it: called with `n_tasks` and `n_groups`, `space` and `seed` by name.

    Raises:
        BrokenContractError: the first thing that is not as it must be.
    """
    for check in GROUPING_CHECKS.values():
        check(build)


def groups_are_complete_and_ordered(build: BuildGrouping) -> None:
    """Whatever M is: groups without gaps, by ascending centre; a centre is the mean that `space` says."""
    for n_tasks in (1, 2, 3, 11):
        for space in ("linear", "log"):
            _complete(_group(build(n_tasks, "auto", space=space), WIDE[:n_tasks]), WIDE[:n_tasks], space == "log")


def exactly_as_many_groups_as_asked_for(build: BuildGrouping) -> None:
    """Ties included, and where all tasks have the same indicator."""
    for values in TIED:
        for n_groups in range(1, len(values) + 1):
            try:
                grouping = build(len(values), n_groups)
            except UserError:  # it makes a number of its own
                continue
            groups = _group(grouping, values)
            found = len(groups.centres)
            _require(found == n_groups, f"{n_groups} groups of {len(values)} tasks, as asked for", found)
            _complete(groups, values)


def extreme_values_are_grouped(build: BuildGrouping) -> None:
    """Zero, the smallest and the largest indicators that there are."""
    for values in EXTREME:
        for space in ("linear", "log"):
            groups = _group(build(len(values), "auto", space=space), values)
            centres = groups.centres[~groups.centres.isnan()]
            _require(bool(centres.isfinite().all()), f"finite centres of {values}", centres.tolist())
            used = groups.labels.unique().tolist()
            _require(used == list(range(len(centres))), f"labels that use all of {len(centres)} groups", used)


def equal_seeds_give_equal_groups(build: BuildGrouping) -> None:
    """Nothing but `seed` decides what is drawn, and torch's global generator is left as it is."""
    for n_groups in _counts(build):
        one, other = build(11, n_groups, seed=3), build(11, n_groups, seed=3)
        for step in range(3):
            _seed_all(2 * step)
            expected = _group(one, WIDE)
            drawn = torch.rand(1)
            _seed_all(2 * step)
            _require(same(torch.rand(1), drawn), "torch's global generator as it was", "one that was drawn from")
            _seed_all(2 * step + 1)
            found = _group(other, WIDE)
            _require(same(list(found), list(expected)), "equal groups from equal seeds", found)


def state_and_copies_go_on_alike(build: BuildGrouping) -> None:
    """`state_dict` holds what later groups depend on."""
    for n_groups in _counts(build):
        grouping, other = build(11, n_groups, seed=3), build(11, n_groups, seed=4)
        _group(grouping, WIDE)
        duplicate = copy.deepcopy(grouping)
        other.load_state_dict(grouping.state_dict())
        other.seed = grouping.seed
        expected = _group(grouping, WIDE)
        for found in (_group(other, WIDE), _group(duplicate, WIDE)):
            _require(same(list(found), list(expected)), "a loaded state and a copy to go on alike", found)


def indicator_is_left_as_it_is(build: BuildGrouping) -> None:
    """What is grouped is not changed in place, and may have any floating dtype."""
    for dtype in (torch.float64, torch.float32):
        values = torch.tensor(WIDE, dtype=dtype)
        before = values.clone()
        grouping = build(len(WIDE), "auto")
        grouping.group(values, _gramian_of(grouping, len(WIDE)))
        _require(same(values, before), "`group` to leave the indicator as it is", values.tolist())


def some_of_the_tasks_can_be_grouped(build: BuildGrouping) -> None:
    """Where others have no label: no more groups than tasks, and all of the tasks again afterwards."""
    grouping = build(6, "auto")
    for present in ([0], [1, 4], [0, 2, 3, 5], list(range(6))):
        values = [WIDE[task] for task in present]
        with narrowed(grouping, present):
            groups = _group(grouping, values)
        _complete(groups, values)
        _require(len(groups.labels) == len(present), "a label for each of the tasks", groups.labels.tolist())
        _require(grouping.n_tasks == 6, "all tasks again afterwards", grouping.n_tasks)


def gradients_are_asked_for(build: BuildGrouping) -> None:
    """With `needs_gramian` none, or a wrong one, is an error, and any right one will do; else none is looked at."""
    grouping = build(4, "auto")
    values = torch.tensor(WIDE[:4], dtype=torch.float64)
    if not grouping.needs_gramian:
        found, expected = (build(4, "auto").group(values, gramian) for gramian in (_gramian(4, "random"), None))
        _require(same(list(found), list(expected)), "a Gramian to be asked for (`needs_gramian`)", found)
        return
    for wrong in (None, _gramian(3, "random")):
        told = refusal(lambda: grouping.group(values, wrong))  # noqa: B023 - called at once
        _require("Gramian" in told, "a missing or wrong Gramian to be an error", told or "none")
    for kind in ("random", "zero", "equal", "opposed", "apart"):
        _complete(grouping.group(values, _gramian(4, kind)), values.tolist())


def _complete(groups: Groups, values: Sequence[float], logarithmic: bool = False) -> None:
    labels, centres = groups.labels, groups.centres
    _require(labels.dtype == torch.int64 and labels.shape == (len(values),), f"int64 labels [{len(values)}]", labels)
    _require(centres.dtype == torch.float64, "float64 centres", centres.dtype)
    centres = centres[~centres.isnan()]
    used = labels.unique().tolist()
    _require(used == list(range(len(centres))), f"labels that use all of {len(centres)} groups", used)
    _require(bool((centres.diff() >= 0).all()), "ascending centres", centres.tolist())
    for group, centre in enumerate(centres):
        members = torch.tensor(values, dtype=torch.float64)[labels == group]
        mean = members.log().mean().exp() if logarithmic else members.mean()
        _require(near(centre, mean, 1e-9), f"a centre that is its members' mean, {float(mean)}", float(centre))


def _counts(build: BuildGrouping) -> list[int | str]:
    """Numbers of groups of eleven tasks that the grouping makes; of "auto" a host's clustering may look at none."""
    try:
        build(11, 3)
    except UserError:
        return ["auto"]
    return ["auto", 3]


def _seed_all(seed: int) -> None:
    """The global generators, which no grouping is to draw from."""
    torch.manual_seed(seed)
    numpy.random.seed(seed)  # noqa: NPY002 - the very one
    random.seed(seed)


def _group(grouping: Grouping, values: Sequence[float]) -> Groups:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)
        return grouping.group(torch.tensor(values, dtype=torch.float64), _gramian_of(grouping, len(values)))


def _gramian_of(grouping: Grouping, n_tasks: int) -> Matrix | None:
    return _gramian(n_tasks, "random") if grouping.needs_gramian else None


def _gramian(n_tasks: int, kind: str) -> Matrix:
    generator = torch.Generator().manual_seed(n_tasks)
    rows: dict[str, Callable[[], Tensor]] = {
        "random": lambda: torch.randn(n_tasks, 3, generator=generator, dtype=torch.float64, device="cpu"),
        "zero": lambda: torch.zeros(n_tasks, 3, dtype=torch.float64, device="cpu"),
        "equal": lambda: torch.ones(n_tasks, 3, dtype=torch.float64, device="cpu"),
        "opposed": lambda: torch.tensor([(-1.0) ** m for m in range(n_tasks)], dtype=torch.float64, device="cpu")[
            :, None
        ],
        "apart": lambda: torch.diag(torch.logspace(-6, 6, n_tasks, dtype=torch.float64, device="cpu")),
    }
    made = rows[kind]()
    gramian: Matrix = (made @ made.T).numpy()
    return gramian


GROUPING_CHECKS: dict[str, GroupingCheck] = {
    check.__name__: check
    for check in (
        groups_are_complete_and_ordered,
        exactly_as_many_groups_as_asked_for,
        extreme_values_are_grouped,
        equal_seeds_give_equal_groups,
        state_and_copies_go_on_alike,
        indicator_is_left_as_it_is,
        some_of_the_tasks_can_be_grouped,
        gradients_are_asked_for,
    )
}
"""Every check by its name."""
