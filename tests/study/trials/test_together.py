"""One trial in two processes: the step of one, a death that leaves no trace, and failures in one line."""

from collections.abc import Callable
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from go4align.training import Checkpoints, EpochRecord
from study.spec.configuration import Configuration
from study.trials.records import Trial, TrialResult
from study.trials.run import run_trial

REFERENCE = {split: {f"task{task}/mae": 1.0 for task in range(3)} for split in ("val", "test")}


def trial(method: str, processes: int, *, train_size: int = 128, **training: Any) -> Trial:
    configuration = Configuration.model_validate(
        {
            "benchmark": {"name": "toy", "n_tasks": 3, "train_size": train_size, "val_size": 64, "test_size": 64},
            "method": {"name": method},
            "training": {"epochs": 4, "batch_size": 32, "lr": 0.01, "processes": processes} | training,
        }
    )
    return Trial("final-0", "final", configuration, seed=3, reference=REFERENCE, test=True)


def trained(
    what: Trial, folder: Path | None = None, on_epoch: Callable[[EpochRecord], Any] = lambda _: None
) -> tuple[TrialResult, list[EpochRecord]]:
    told: list[EpochRecord] = []

    def note(record: EpochRecord) -> None:
        told.append(record)
        on_epoch(record)

    checkpoints = None if folder is None else Checkpoints(folder)
    return run_trial(what, note, device="cpu", checkpoints=checkpoints), told


def children() -> list[BaseProcess]:
    """The processes of a trial, in the order they were started."""
    return sorted(active_children(), key=lambda one: int(one.name.rpartition("-")[2]))


@pytest.mark.parametrize("method", ["go4align", "mgda"])
def test_two_processes_take_the_steps_of_one(method: str) -> None:
    alone, told_alone = trained(trial(method, 1))
    together, told = trained(trial(method, 2))
    assert (together.status, [record.epoch for record in told]) == ("finished", [1, 2, 3, 4])
    for ours, theirs in zip(told, told_alone, strict=True):
        assert ours.train.losses == pytest.approx(theirs.train.losses, rel=1e-4)
        assert ours.train.weights == pytest.approx(theirs.train.weights, rel=1e-3)
    seconds = {"epoch_s"}
    assert set(together.metrics) == set(alone.metrics)
    for key in set(alone.metrics) - seconds:
        assert together.metrics[key] == pytest.approx(alone.metrics[key], rel=1e-2), key
    assert not children()


def test_a_process_that_is_killed_leaves_no_trace(tmp_path: Path) -> None:
    long = trial("famo", 2, train_size=512, batch_size=2, epochs=3)  # no epoch ends while a process is being killed
    whole, told_whole = trained(long, tmp_path / "whole")
    killed: list[str] = []

    def kill(record: EpochRecord) -> None:
        if len(killed) < 2:
            victim = children()[1 - len(killed)]  # the second one, and then the first
            killed.append(victim.name)
            victim.kill()
            victim.join(10)

    resumed, told = trained(long, tmp_path / "killed", kill)
    assert len(killed) == 2
    assert resumed.metrics | {"epoch_s": 0} == whole.metrics | {"epoch_s": 0}
    last = {record.epoch: record for record in told}
    assert [last[epoch].train for epoch in (1, 2, 3)] == [record.train for record in told_whole]


def test_one_that_always_dies_fails(tmp_path: Path) -> None:
    def kill(record: EpochRecord) -> None:
        for victim in children():
            victim.kill()

    result, _ = trained(trial("ls", 2), tmp_path, kill)
    assert result.status == "failed"
    assert "died 3 times" in result.reason


def test_what_goes_wrong_in_them_is_the_trials_result() -> None:
    result, told = trained(trial("ls", 2, batch_size=256))
    assert (result.status, told) == ("failed", [])
    assert result.reason == (
        "before training: A batch of 2 processes takes 256 samples, found 128 to train on. Lower `batch_size` or "
        "`processes`."
    )
