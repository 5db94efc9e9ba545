"""Schedules: how the learning rate moves, per step or per epoch, and what is refused."""

import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from go4align import UserError
from go4align.training.choices import chosen, written
from go4align.training.schedules import SCHEDULES, Schedule

EPOCHS = 6
STEPS = 5


def rates(found: object, *, watched: float = 1.0, own_lr: float = 0.5) -> tuple[list[float], list[float]]:
    """The learning rates at every step, of the network (0.1 at first) and of a weighting's own parameter."""
    schedule: Schedule = chosen("schedule", found, SCHEDULES)
    network, own = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([{"params": [network]}, {"params": [own], "lr": own_lr}], lr=0.1)
    scheduler = schedule.build(optimizer, epochs=EPOCHS, steps_per_epoch=STEPS)
    seen = []
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            schedule.after_step(scheduler)
        schedule.after_epoch(scheduler, watched)
    network_rates, own_rates = zip(*seen, strict=True)
    return list(network_rates), list(own_rates)


@pytest.mark.parametrize("name", SCHEDULES)
def test_groups_with_a_rate_of_their_own_move_alike(name: str) -> None:
    options: dict[str, Any] = {"every": 2} if name == "step" else {"patience": 1} if name == "plateau" else {}
    network, own = rates({"name": name, **options})
    assert network[0] <= 0.1
    assert own == pytest.approx([5 * rate for rate in network])
    assert (len(set(network)) == 1) == (name == "constant")


def test_step_halves_after_every_so_many_epochs() -> None:
    network, _ = rates({"name": "step", "every": 2, "factor": 0.5})
    assert network == pytest.approx([0.1] * 2 * STEPS + [0.05] * 2 * STEPS + [0.025] * 2 * STEPS)


def test_plateau_waits_for_its_patience_and_stops_at_its_least() -> None:
    network, _ = rates({"name": "plateau", "factor": 0.1, "patience": 1, "min_lr": 0.005})
    assert network[::STEPS] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.005])


def test_cosine_falls_at_every_step() -> None:
    network, _ = rates("cosine")
    assert network[0] == 0.1 and all(a > b for a, b in pairwise(network))


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs_but_for_the_last_step_that_torch_spends_at_the_least(warmup: float) -> None:
    network, _ = rates({"name": "one_cycle", "warmup": warmup, "start": 25, "end": 2.5e5})
    total = EPOCHS * STEPS
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    # torch counts a phase from its first step to its last, ours from its first to the next one's first.
    theirs = OneCycleLR(
        optimizer, 0.1, total_steps=total + 1, pct_start=(warmup * total + 1) / (total + 1), cycle_momentum=False
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert network == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_one_cycle_may_do_without_either_part(warmup: float) -> None:
    network, _ = rates({"name": "one_cycle", "warmup": warmup})
    assert sorted(network, reverse=warmup == 0.0) == network


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_scheduler_goes_on_from_its_state(name: str) -> None:
    def start() -> tuple[Any, Any, Schedule]:
        schedule: Schedule = chosen("schedule", name, SCHEDULES)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        return optimizer, schedule.build(optimizer, epochs=EPOCHS, steps_per_epoch=STEPS), schedule

    def move(run: tuple[Any, Any, Schedule], steps: int) -> list[float]:
        optimizer, scheduler, schedule = run
        found = []
        for _ in range(steps):
            optimizer.step()
            schedule.after_step(scheduler)
            schedule.after_epoch(scheduler, 1.0)
            found.append(optimizer.param_groups[0]["lr"])
        return found

    whole, half, resumed = start(), start(), start()
    expected = move(whole, 12)
    move(half, 5)
    resumed[0].load_state_dict(half[0].state_dict())
    resumed[1].load_state_dict(half[1].state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert move(resumed, 7) == expected[5:]


def test_one_meaning_has_one_form() -> None:
    plain = written("schedule", "step", SCHEDULES)
    assert plain == written("schedule", {"name": "step"}, SCHEDULES) == "step"
    assert written("schedule", {"name": "step", "factor": 0.5, "every": 100}, SCHEDULES) == "step"
    full = written("schedule", {"name": "step", "every": 30}, SCHEDULES)
    assert full == {"name": "step", "every": 30, "factor": 0.5} == written("schedule", full, SCHEDULES)
    assert written("schedule", {"name": "one_cycle", "start": 10}, SCHEDULES) == written(
        "schedule", {"name": "one_cycle", "start": 10.0}, SCHEDULES
    )


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("stepp", "Unknown schedule 'stepp'. Did you mean 'step'?"),
        (5, "Unknown schedule '5'"),
        (None, "Unknown schedule 'None'"),
        ({"every": 5}, "`schedule` must be a name, or hold `name` and options, found no `name`"),
        ({"name": 5}, "Unknown schedule '5'"),
        ({"name": "cosine", "factor": 0.5}, "The schedule 'cosine' has no options, found 'factor'. Remove it."),
        ({"name": "step", "evry": 5}, "Unknown option of the schedule 'step' 'evry'. Did you mean 'every'?"),
        ({"name": "step", "every": 0}, "`schedule.every` must be a whole number of at least 1, found 0"),
        ({"name": "step", "factor": 1}, "`schedule.factor` must be below 1, found 1"),
        ({"name": "step", "factor": "0.5"}, "`schedule.factor` must be a finite number .*without quotes"),
        ({"name": "plateau", "patience": 1.5}, "`schedule.patience` must be a whole number"),
        ({"name": "one_cycle", "warmup": 2}, "`schedule.warmup` must be a finite number of at least 0 and at most 1"),
    ],
)
def test_a_wrong_schedule_is_one_line(found: object, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?").replace("(", r"\(")):
        chosen("schedule", found, SCHEDULES)
