"""The epoch loop: determinism, resuming, schedules, early stopping and the test split."""

import copy
import io
from collections.abc import Callable

import pytest
import torch

from go4align import UserError, Weighting, available_methods, build_weighting
from go4align.benchmarks.toy import Toy
from go4align.training import Evaluation, Trainer, TrainingOptions

OPTIONS = TrainingOptions(epochs=4, batch_size=64, lr=1e-2)


def build(method: str, **hyperparameters: object) -> Callable[[], Weighting]:
    return lambda: build_weighting(method, n_tasks=6, **hyperparameters)


def mean_loss(evaluation: Evaluation) -> float:
    return sum(evaluation.losses)


def trainer(method: str = "ls", options: TrainingOptions = OPTIONS, seed: int = 0) -> Trainer:
    return Trainer(Toy(), build(method), options, seed=seed, monitor=mean_loss)


def parameters(run: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.mark.parametrize("method", available_methods())
def test_equal_seeds_give_equal_runs_whatever_ran_before(method: str) -> None:
    first = trainer(method)
    list(first.epochs())
    torch.rand(17)  # a reused process has other random states
    second = trainer(method)
    list(second.epochs())
    assert torch.equal(parameters(first), parameters(second))
    other = trainer(method, seed=1)
    list(other.epochs())
    assert not torch.equal(parameters(first), parameters(other))


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "constant"])
@pytest.mark.parametrize("method", available_methods())
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(method: str, schedule: str) -> None:
    options = TrainingOptions(epochs=4, batch_size=64, lr=1e-2, schedule=schedule)  # type: ignore[arg-type]
    whole = trainer(method, options)
    records = list(whole.epochs())

    half = trainer(method, options)
    half.run_epoch(), half.run_epoch()
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = trainer(method, options, seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    rest = list(resumed.epochs())

    assert torch.equal(parameters(whole), parameters(resumed))
    assert [r.train for r in rest] == [r.train for r in records[2:]]
    assert [(r.epoch, r.lr, r.best) for r in rest] == [(r.epoch, r.lr, r.best) for r in records[2:]]


def test_cosine_anneals_to_zero_and_training_lowers_the_loss() -> None:
    run = trainer()
    records = list(run.epochs())
    assert records[0].lr == pytest.approx(1e-2)
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
    assert mean_loss(records[-1].val) < mean_loss(records[0].val)


def test_early_stopping_waits_for_patience_epochs() -> None:
    options = TrainingOptions(epochs=50, batch_size=64, lr=1e-2, patience=3)
    values = iter([5.0, 4.0, 4.5, 4.2, 4.1, 1.0])
    run = Trainer(Toy(), build("ls"), options, seed=0, monitor=lambda _: next(values))
    records = list(run.epochs())
    assert len(records) == 5
    assert (run.selected.value, run.selected.stale_epochs) == (4.0, 3)


def test_the_test_split_is_read_with_the_best_epochs_model_and_leaves_the_run_alone() -> None:
    values = iter([3.0, 1.0, 2.0, 2.0])
    run = Trainer(Toy(), build("ls"), OPTIONS, seed=0, monitor=lambda _: next(values))
    run.run_epoch(), run.run_epoch()
    expected = run.evaluate("test")
    run.run_epoch()
    before = copy.deepcopy(run.model.state_dict())
    assert run.test() == expected
    assert all(torch.equal(before[key], value) for key, value in run.model.state_dict().items())


def test_a_grouping_method_tells_its_groups() -> None:
    run = Trainer(Toy(), build("go4align", n_groups=3), OPTIONS, seed=0, monitor=mean_loss)
    summary = run.run_epoch().train
    assert summary.groups is not None and set(summary.groups) <= {0, 1, 2}
    assert summary.co_assignment is not None and [row[i] for i, row in enumerate(summary.co_assignment)] == [1.0] * 6
    assert summary.centres == pytest.approx(summary.weights)
    assert trainer("ls").run_epoch().train.groups is None


def test_evaluation_weighs_samples_equally_whatever_the_batch_size() -> None:
    run = trainer()
    run.options = TrainingOptions(epochs=1, batch_size=100, lr=1e-2)  # 256 = 100 + 100 + 56
    ragged = run.evaluate("val")
    run.options = TrainingOptions(epochs=1, batch_size=256, lr=1e-2)
    assert ragged.losses == pytest.approx(run.evaluate("val").losses, rel=1e-5)
    assert ragged.metrics == pytest.approx(run.evaluate("val").metrics, rel=1e-5)


@pytest.mark.parametrize(("key", "value"), [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("patience", 0)])
def test_options_out_of_range_name_the_key(key: str, value: float) -> None:
    good = {"epochs": 1, "batch_size": 1, "lr": 0.1}
    with pytest.raises(UserError, match=f"`{key}` must be"):
        TrainingOptions(**{**good, key: value})  # type: ignore[arg-type]
