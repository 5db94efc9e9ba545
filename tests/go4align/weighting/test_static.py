"""Fixed weights: of a task's first loss, of factors, and never of anything later."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from go4align import build_weighting
from go4align.errors import UserError

NAMES = ("a", "b", "c", "d")
LOSSES = torch.tensor([1.0, 10.0, 100.0, 4.0], dtype=torch.float64)


def weights(losses: torch.Tensor = LOSSES, steps: int = 1, **options: object) -> list[float]:
    method = build_weighting("static", len(losses), task_names=NAMES[: len(losses)], **options)
    record = method.weigh(losses)
    for step in range(1, steps):
        record = method.weigh(losses * (step + 1) ** torch.arange(len(losses)))
    found: list[float] = record.weights.tolist()
    return found


@given(st.floats(0, 3), st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=4), st.integers(1, 3))
def test_weights_are_of_the_first_losses_alone(power: float, first: list[float], steps: int) -> None:
    losses = torch.tensor(first, dtype=torch.float64)
    expected = losses**-power
    expected *= len(first) / expected.sum()
    assert weights(losses, steps, power=power) == pytest.approx(expected.tolist(), rel=1e-9)


def test_power_0_is_a_plain_sum_and_takes_any_loss() -> None:
    assert weights(-LOSSES, power=0.0) == pytest.approx([1.0] * 4)
    with pytest.raises(UserError, match="'a'"):
        weights(-LOSSES)


def test_factors_are_shared_by_joined_tasks() -> None:
    assert weights(power=0.0, factors={"b/d": 3.0}) == pytest.approx([0.5, 1.5, 0.5, 1.5])
    assert weights(power=1.0, factors={"c": 200.0}, normalise=False) == pytest.approx([1.0, 0.1, 2.0, 0.25])


def test_a_first_loss_of_zero_counts_as_the_smallest_other() -> None:
    assert weights(torch.tensor([0.0, 2.0, 4.0]), normalise=False) == pytest.approx([0.5, 0.5, 0.25])
    assert weights(torch.zeros(2), normalise=False) == [1.0, 1.0]


def test_a_task_that_comes_later_has_the_first_loss_that_it_shows() -> None:
    method = build_weighting("static", 3, normalise=False)
    method.weigh(torch.tensor([2.0, 4.0, torch.nan]), labelled=torch.tensor([True, True, False]))
    record = method.weigh(torch.tensor([7.0, 7.0, 8.0]))
    assert record.weights.tolist() == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": -1}, "`power` must be a finite number of at least 0"),
        ({"factors": {"e": 1.0}}, "task of `factors` 'e'.*Known: a, b, c, d"),
        ({"factors": {"a/b": 1.0, "b": 2.0}}, "found several for 'b'"),
        ({"factors": {"a": 0}}, "`factors.a` must be a finite number greater than 0"),
        ({"factors": 3}, "`factors` must hold keys and values"),
    ],
)
def test_bad_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        weights(**options)
