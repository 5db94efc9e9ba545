"""Checkpoints: whole or absent, the newest two kept, damaged ones passed over; killed runs equal whole ones."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from go4align.benchmarks.toy import Toy
from go4align.training import Checkpoints, CheckpointWarning, Trainer, TrainingOptions
from go4align.weighting.registry import build_weighting


def state_of(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "weights": torch.full((1000,), float(epoch)), "nested": {"row": (1.0, 2)}}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    found = Checkpoints(tmp_path / "run")
    for epoch in (1, 2, 3):
        found.save(epoch, state_of(epoch))
    return found


def files(checkpoints: Checkpoints) -> list[Path]:
    return sorted(checkpoints.folder.glob("epoch-*.pt"))


def test_the_newest_two_are_kept_and_the_newest_is_loaded(checkpoints: Checkpoints) -> None:
    assert [path.name[:11] for path in files(checkpoints)] == ["epoch-00002", "epoch-00003"]
    state = checkpoints.load()
    assert state is not None and state["epoch"] == 3 and state["weights"].tolist() == [3.0] * 1000
    assert state["nested"] == {"row": (1.0, 2)}


def test_a_file_can_be_opened_with_torch_alone(checkpoints: Checkpoints) -> None:
    assert torch.load(files(checkpoints)[-1], weights_only=True)["epoch"] == 3


@pytest.mark.parametrize("damage", ["truncated", "one bit", "emptied", "not a checkpoint", "unreadable"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_with_a_warning(
    checkpoints: Checkpoints, damage: str
) -> None:
    newest = files(checkpoints)[-1]
    content = newest.read_bytes()
    if damage == "unreadable":
        newest.unlink()
        newest.mkdir()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        changed = {"truncated": content[:middle], "one bit": flipped, "emptied": b"", "not a checkpoint": b"x" * 99}
        newest.write_bytes(changed[damage])
    with pytest.warns(CheckpointWarning, match=re.escape(newest.name)):
        state = checkpoints.load()
    assert state is not None and state["epoch"] == 2


def test_without_any_good_checkpoint_there_is_none(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for path in files(checkpoints):
        path.write_bytes(b"")
    with pytest.warns(CheckpointWarning):
        assert checkpoints.load() is None
    assert Checkpoints(tmp_path / "nowhere").load() is None


def test_an_object_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(1, {"epoch": 1})
    checkpoints.save(2, {"epoch": 2, "evil": Evil()})
    with pytest.warns(CheckpointWarning):
        assert checkpoints.load() == {"epoch": 1}
    assert not (tmp_path / "ran").exists()


def test_an_epoch_that_is_trained_again_replaces_its_checkpoint(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, state_of(3) | {"again": True})
    assert [path.name[:11] for path in files(checkpoints)] == ["epoch-00002", "epoch-00003"]
    state = checkpoints.load()
    assert state is not None and state["again"]


def test_attempts_are_counted_per_epoch_until_forgiven(checkpoints: Checkpoints) -> None:
    assert [checkpoints.attempt(epoch) for epoch in (0, 3, 3, 4, 3)] == [1, 1, 2, 1, 3]
    checkpoints.forgive()
    assert checkpoints.attempt(3) == 1


def test_a_folder_that_was_moved_meanwhile_is_not_made_anew(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.folder.rename(tmp_path / "moved")
    for write in (lambda: checkpoints.save(4, state_of(4)), lambda: checkpoints.attempt(4)):
        with pytest.raises(FileNotFoundError):
            write()
    assert not checkpoints.folder.exists()
    checkpoints.clear()
    checkpoints.save(1, state_of(1))
    assert len(files(checkpoints)) == 1


def test_clearing_leaves_nothing(checkpoints: Checkpoints) -> None:
    checkpoints.clear()
    assert not checkpoints.folder.exists()
    checkpoints.clear()


RUN = """
import sys, torch
from pathlib import Path
from tests.go4align.training.test_checkpoints import train
train(Path(sys.argv[1]), print_epochs=True)
"""


def train(folder: Path, *, print_epochs: bool = False) -> dict[str, torch.Tensor]:
    """Train to the end from wherever the folder's checkpoints are; returns the final parameters."""
    torch.set_num_threads(1)
    benchmark, checkpoints = Toy(train_size=2048), Checkpoints(folder)
    trainer = Trainer(
        benchmark,
        lambda: build_weighting("go4align", n_tasks=6, n_groups=3),
        TrainingOptions(epochs=12, batch_size=32, lr=1e-3, schedule="plateau"),
        seed=3,
        monitor=lambda evaluation: sum(evaluation.losses),
    )
    state = checkpoints.load()
    if state is not None:
        trainer.load_state_dict(state)
    for record in trainer.epochs():
        if print_epochs:
            print(record.epoch, flush=True)
        checkpoints.save(record.epoch, trainer.state_dict())
    return dict(trainer.model.state_dict())


@pytest.mark.slow
@pytest.mark.cpu_only("runs in processes of their own train on the CPU")
def test_a_run_killed_again_and_again_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    trained: list[int] = []
    kills = 0
    for last in (3, 4, 8, 99):
        command = [sys.executable, "-c", RUN, str(tmp_path / "killed")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root) as process:
            assert process.stdout is not None
            for line in process.stdout:
                trained.append(int(line))
                if int(line) == last:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    break
    assert kills == 3
    assert sorted(set(trained)) == list(range(1, 13))
    assert len(trained) <= 12 + kills  # at most one epoch repeated per kill
    killed = train(tmp_path / "killed")
    assert all(torch.equal(killed[key], whole[key]) for key in whole)
