"""One trial without Ray: frozen results, failures as results, test read only when asked, and reproducibility."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from records import GOOD

from go4align.training import Checkpoints, EpochRecord
from study.spec.configuration import Configuration
from study.spec.study_file import StudyFile
from study.trials.alone import ATTEMPTS, SLOW_SAVE_S
from study.trials.records import Trial, TrialResult
from study.trials.run import run_trial

STUDY = StudyFile.model_validate(GOOD)
REFERENCE = {split: {f"task{m}/mae": 10.0 ** (4 * m / 5 - 2) for m in range(6)} for split in ("val", "test")}


def trial(method: str = "ls", *, test: bool = False, seed: int = 0, **hyperparameters: object) -> Trial:
    configuration = STUDY.configuration(method, dict(hyperparameters))
    return Trial("t", "final", configuration, seed, reference=REFERENCE, test=test)


def same(a: TrialResult, b: TrialResult) -> bool:
    """Equal but for the time they took."""
    timeless = [dataclasses.replace(r, seconds=0.0, metrics={**r.metrics, "epoch_s": 0.0}) for r in (a, b)]
    return timeless[0] == timeless[1]


def test_a_trial_ends_with_its_best_score_and_metrics() -> None:
    records = []
    result = run_trial(trial(), records.append)
    assert (result.status, result.epochs) == ("finished", 2)
    assert result.score == min(record.monitored for record in records)
    assert result.metrics["val/delta_m"] == pytest.approx(result.score)
    assert {"val/task0/mae", "val/task0/mae_change", "val/median_change", "val/task0/loss"} <= set(result.metrics)


def test_the_test_split_is_read_only_when_asked() -> None:
    assert not [key for key in run_trial(trial()).metrics if key.startswith("test/")]
    assert "test/delta_m" in run_trial(trial(test=True)).metrics


@pytest.mark.parametrize("method", ["ls", "rlw", "famo", "go4align"])
def test_a_trial_alone_equals_one_in_a_used_process(method: str) -> None:
    alone = run_trial(trial(method, test=True))
    run_trial(trial("uw", seed=5))
    torch.rand(3), torch.set_num_threads(2)
    assert same(alone, run_trial(trial(method, test=True)))
    assert not same(alone, run_trial(trial(method, test=True, seed=1)))


def test_a_loss_that_is_not_finite_fails_with_task_and_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    from go4align.benchmarks.toy import Toy

    losses = Toy.losses

    def poisoned(self: Toy, outputs: torch.Tensor, batch: object) -> torch.Tensor:
        values = losses(self, outputs, batch)  # type: ignore[arg-type]
        return values * torch.tensor([1, 1, float("nan"), 1, 1, 1]) if torch.is_grad_enabled() else values

    monkeypatch.setattr(Toy, "losses", poisoned)
    result = run_trial(trial("go4align"))
    assert (result.status, result.score) == ("failed", None)
    assert "epoch 1" in result.reason and "task2" in result.reason and "nan" in result.reason
    assert "\n" not in result.reason
    assert "Traceback" in result.details


def test_out_of_memory_fails_with_a_hint() -> None:
    def exhausted(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    result = run_trial(trial(), exhausted)
    assert result.status == "failed"
    assert "batch_size" in result.reason


def test_a_configuration_that_cannot_be_built_fails_instead_of_raising() -> None:
    wrong = STUDY.configuration("go4align", {"n_groups": 99})
    result = run_trial(Trial("t", "search", wrong, 0))
    assert result.status == "failed" and "n_groups" in result.reason


def test_a_single_task_run_is_scored_by_its_own_loss() -> None:
    configuration = Configuration.model_validate(
        {**STUDY.configuration("ls").model_dump(), "method": {"name": "stl", "task": 3}}
    )
    records = []
    result = run_trial(Trial("t", "reference", configuration, 1), records.append)
    assert result.score == min(record.val.losses[3] for record in records)


def test_a_killed_trial_goes_on_from_its_checkpoint_and_equals_a_whole_one(tmp_path: Path) -> None:
    whole, checkpoints, heard = run_trial(trial("go4align", test=True)), Checkpoints(tmp_path), []

    class Killed(BaseException):
        """No exception that a trial turns into a result."""

    def die(record: EpochRecord) -> None:
        heard.append(record.epoch)
        raise Killed

    with pytest.raises(Killed):
        run_trial(trial("go4align", test=True), die, checkpoints=checkpoints)
    resumed = run_trial(trial("go4align", test=True), lambda r: heard.append(r.epoch), checkpoints=checkpoints)
    assert same(resumed, whole)
    assert heard == [1, 1, 2]  # the driver may not have heard of the first


def test_a_trial_whose_process_dies_again_and_again_in_one_epoch_has_failed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for _ in range(ATTEMPTS):
        checkpoints.attempt(0)
    result = run_trial(trial(), checkpoints=checkpoints)
    assert result.status == "failed"
    assert result.reason.startswith("epoch 1: The trial's process died 3 times") and "batch_size" in result.reason


def test_a_damaged_checkpoint_costs_an_epoch_and_is_told(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    run_trial(trial(), checkpoints=checkpoints)
    newest = max(tmp_path.glob("epoch-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    result = run_trial(trial(), checkpoints=checkpoints)
    assert same(dataclasses.replace(result, warnings=()), run_trial(trial()))
    assert len(result.warnings) == 1 and newest.name in result.warnings[0]


def test_slow_storage_gets_fewer_checkpoints_and_the_trial_is_the_same(tmp_path: Path) -> None:
    class Slow(Checkpoints):
        def save(self, epoch: int, state: dict[str, Any]) -> None:
            saved.append(epoch)
            time.sleep(SLOW_SAVE_S)

    saved: list[int] = []
    assert same(run_trial(trial(), checkpoints=Slow(tmp_path)), run_trial(trial()))
    assert saved == [1]


LAST = StudyFile.model_validate(
    {**GOOD, "training": {**GOOD["training"], "epochs": 5, "selection": {"name": "mean_of_last", "epochs": 3}}}
)


def of_the_last(*, test: bool = True) -> Trial:
    return Trial("t", "final", LAST.configuration("go4align"), 0, reference=REFERENCE, test=test)


def test_a_mean_of_the_last_is_the_result_of_a_trial() -> None:
    records: list[EpochRecord] = []
    result = run_trial(of_the_last(), records.append)
    assert (result.status, result.epochs) == ("finished", 5)
    assert result.score == records[-1].best == pytest.approx(sum(r.monitored for r in records[-3:]) / 3)
    assert result.metrics["val/delta_m"] == pytest.approx(result.score)
    assert result.metrics["val/task2/mae"] == pytest.approx(sum(r.val.metrics["task2/mae"] for r in records[-3:]) / 3)
    assert {"test/task0/mae", "test/delta_m", "test/median_change"} <= set(result.metrics)
    assert not [key for key in run_trial(of_the_last(test=False)).metrics if key.startswith("test/")]


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_mean_of_the_last_goes_on_from_a_checkpoint_bit_for_bit(epoch: int, tmp_path: Path) -> None:
    whole = run_trial(of_the_last())

    class Killed(BaseException):
        """No exception that a trial turns into a result."""

    def die(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise Killed

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Killed):
        run_trial(of_the_last(), die, checkpoints=checkpoints)
    assert same(run_trial(of_the_last(), checkpoints=checkpoints), whole)


def test_a_trial_may_be_scored_by_a_metric_of_its_tasks() -> None:
    training = {**GOOD["training"], "selection": {"name": "best", "metric": "mae"}}
    study = StudyFile.model_validate({**GOOD, "training": training})
    records: list[EpochRecord] = []
    result = run_trial(Trial("t", "search", study.configuration("ls"), 0, reference=REFERENCE), records.append)
    assert result.score == min(sum(record.val.metrics.values()) / 6 for record in records)
    single = Configuration.model_validate(
        {**study.configuration("ls").model_dump(), "method": {"name": "stl", "task": 3}}
    )
    result = run_trial(Trial("t", "reference", single, 1), records.append)
    assert result.score == min(record.val.metrics["task3/mae"] for record in records[-2:])
