"""TorchJD's methods keep the contract of weightings; what does not is named here with its reason."""

from functools import partial

import pytest
from torchjds import built

from go4align import torchjd_methods
from go4align.testing import WEIGHTING_CHECKS, weightings

STATE = "a loss changes its state, which TorchJD keeps where nothing can put it back on the device"
ABSENT = "it keeps state that it cannot part by task, and refuses a batch that lacks a task's labels in one line"
FIXED = "its weights belong to all tasks together, and it refuses a batch that lacks a task's labels in one line"
STATEFUL = ("dwa", "excess_mtl", "famo", "gradvac", "pcd", "nash_mtl")
EXCLUDED: dict[str, dict[str, str]] = {
    "extreme_losses_give_finite_weights": {
        "torchjd.geometric_mean": "the gradient of a geometric mean is infinite at a loss of zero, and is refused",
    },
    "order_of_tasks_does_not_matter": {
        "torchjd.nash_mtl": "its solver stops early, and the order of tasks shows in the ninth digit",
    },
    "absent_tasks_are_left_alone": {f"torchjd.{name}": ABSENT for name in STATEFUL},
    "other_tasks_are_weighted_as_if_alone": {
        **{f"torchjd.{name}": ABSENT for name in STATEFUL},
        **{f"torchjd.{name}": FIXED for name in ("constant", "cosmos")},
    },
    "what_is_written_is_finite": {
        "torchjd.fairgrad": "its solver fails before a gradient is looked at; the error names the method, and no task",
    },
    "nothing_waits_for_the_device": {
        "torchjd.dwa": STATE,
        "torchjd.famo": STATE,
        "torchjd.geometric_mean": "TorchJD looks for negative losses",
    },
}


@pytest.mark.parametrize("name", torchjd_methods())
@pytest.mark.parametrize("check", WEIGHTING_CHECKS)
def test_torchjds_methods_keep_the_contract(name: str, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if (reason := EXCLUDED.get(check, {}).get(name)) is not None:
        pytest.skip(f"{name}: {reason}")
    monkeypatch.setattr(weightings, "SIZES", (4,))  # some take at least three tasks
    WEIGHTING_CHECKS[check](partial(built, name))


def test_what_is_excluded_is_there() -> None:
    for check, methods in EXCLUDED.items():
        assert check in WEIGHTING_CHECKS
        assert set(methods) <= set(torchjd_methods())
