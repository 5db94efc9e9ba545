"""The contract of indicators: weightings whose weights can be grouped."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from go4align.grouping import build_grouping
from go4align.testing.common import here, loaded, near, requirement, same, saved
from go4align.testing.labelled import absent_tasks_are_left_alone
from go4align.testing.networks import BuildWeighting, losses_of, optimizer_of, train
from go4align.testing.weightings import check_weighting
from go4align.weighting.go4align import GO4Align

IndicatorCheck = Callable[[BuildWeighting], None]

N_TASKS = 5
_require = requirement("indicator")


def check_indicator(build: BuildWeighting) -> None:
    """Check all that `GO4Align` relies on, the contract of a weighting first.

    Args:
        build: as for `check_weighting`.

    Raises:
        BrokenContractError: the first thing that is not as it must be.
    """
    check_weighting(build)
    for check in INDICATOR_CHECKS.values():
        check(build)


def grouped(build: BuildWeighting, n_tasks: int, clustering: str = "exact", n_groups: int | str = 2) -> GO4Align:
    """GO4Align over the indicator."""
    return GO4Align.of(build(n_tasks), build_grouping(clustering, n_tasks, n_groups))


def weights_can_be_grouped(build: BuildWeighting) -> None:
    """A group's weight is the mean of its members' weights; where every task is a group they are the weights."""
    _require(build(N_TASKS).is_indicator, "`is_indicator`", False)
    for clustering, n_groups in (("exact", 2), ("none", "auto")):
        losses, theta = _problem()
        torch.manual_seed(0)
        expected = build(N_TASKS).weigh(losses, shared_parameters=[theta]).weights
        torch.manual_seed(0)
        record = grouped(build, N_TASKS, clustering, n_groups).weigh(losses, shared_parameters=[theta])
        assert record.labels is not None
        means = torch.stack([expected[record.labels == label].mean() for label in record.labels])
        _require(near(record.weights, means, 1e-6), "weights of groups that are their members' mean", record.weights)


def _problem() -> tuple[Tensor, nn.Parameter]:
    """Losses [5] of shared parameters, with gradients in all directions."""
    generator = torch.Generator().manual_seed(1)
    rows = here(torch.randn(N_TASKS, 60, generator=generator, dtype=torch.float64, device="cpu"))
    theta = nn.Parameter(torch.ones(60, dtype=torch.float64))
    return (rows @ theta).square(), theta


def grouped_run_resumes(build: BuildWeighting) -> None:
    """As a run of the weighting does, bit for bit."""
    losses = losses_of(N_TASKS, 16)
    whole, first, second = (grouped(build, N_TASKS) for _ in range(3))
    torch.manual_seed(0)
    expected = train(whole, losses, optimizer_of(whole))
    torch.manual_seed(0)
    optimizer = optimizer_of(first)
    found = train(first, losses[:8], optimizer)
    state, optimizer_state = loaded(saved([first.state_dict(), optimizer and optimizer.state_dict()]))
    torch.manual_seed(7)
    second.load_state_dict(state)
    again = optimizer_of(second)
    if again is not None:
        again.load_state_dict(optimizer_state)
    found += train(second, losses[8:], again)
    _require(same(found, expected), "a resumed run to have the weights of the whole one", found[8])


def absent_tasks_have_no_group(build: BuildWeighting) -> None:
    """Groups are made of the labelled tasks' weights, and what is kept of the others stays."""
    absent_tasks_are_left_alone(lambda n_tasks: grouped(build, n_tasks))


INDICATOR_CHECKS: dict[str, IndicatorCheck] = {
    check.__name__: check for check in (weights_can_be_grouped, grouped_run_resumes, absent_tasks_have_no_group)
}
"""Every check by its name, beside those of `WEIGHTING_CHECKS`."""
