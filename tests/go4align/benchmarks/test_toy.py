"""The synthetic benchmark's pause, which stands for a GPU at work."""

import time

import pytest
import torch

from go4align import UserError
from go4align.benchmarks.toy import Toy


def test_every_pass_over_the_training_data_pauses_once_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    toy = Toy(pause_s=1.5)
    for split in ("train", "val", "test", "train"):
        list(toy.batches(split, 64))  # type: ignore[arg-type]  # a literal each
    assert slept == [1.5, 1.5]


def test_the_pause_changes_no_data() -> None:
    [plain], [paused] = (list(Toy(pause_s=pause).batches("train", 512)) for pause in (0, 1e-3))
    assert torch.equal(plain.inputs, paused.inputs)
    assert torch.equal(plain.targets, paused.targets)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), 1e9, "2"])
def test_a_wrong_pause_is_one_line(wrong: float) -> None:
    with pytest.raises(UserError, match="`pause_s` must be a finite number of at least 0"):
        Toy(pause_s=wrong)
