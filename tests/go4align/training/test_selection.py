"""Selection: the best epoch or the mean of the last, what each reads of the test split, and what it watches."""

import io
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from go4align import UserError, build_weighting
from go4align.benchmarks.base import Task
from go4align.benchmarks.toy import Toy
from go4align.metrics import Evaluation, Metric
from go4align.training import Trainer, TrainingOptions, check_watched, monitor_of, watched_by
from go4align.training.selection import BestEpoch, MeanOfLast, mean_evaluation

OPTIONS = TrainingOptions(epochs=5, batch_size=64, lr=1e-2)
LAST_TWO = replace(OPTIONS, selection={"name": "mean_of_last", "epochs": 2})


class Noting(Toy):
    """Notes which splits are read."""

    read: ClassVar[list[str]] = []

    def batches(self, split: Any, batch_size: int, generator: torch.Generator | None = None) -> Any:
        self.read.append(split)
        return super().batches(split, batch_size, generator)


def trainer(options: TrainingOptions, *, test: bool = True, seed: int = 0) -> Trainer:
    toy = Noting()
    build = partial(build_weighting, "famo", n_tasks=toy.n_tasks)
    return Trainer(toy, build, options, seed=seed, monitor=monitor_of("loss", toy), test=test)


def evaluation(value: float) -> Evaluation:
    return Evaluation((value,), {"a/mae": 2 * value})


@pytest.mark.parametrize("test", [True, False])
def test_the_mean_of_the_last_reads_the_test_split_in_exactly_its_epochs_and_only_when_asked(test: bool) -> None:
    run = trainer(LAST_TWO, test=test)
    reads = []
    for _ in run.epochs():
        reads.append(Noting.read.count("test"))
        Noting.read.clear()
    assert reads == ([0, 0, 0, 1, 1] if test else [0] * 5)
    if test:
        run.test()
        assert not Noting.read


def test_the_best_epoch_reads_the_test_split_once_at_the_end() -> None:
    run = trainer(OPTIONS)
    Noting.read.clear()
    list(run.epochs())
    assert "test" not in Noting.read
    run.test()
    assert Noting.read.count("test") == 1


def test_reading_the_test_split_changes_nothing() -> None:
    blind, tested = trainer(LAST_TWO, test=False), trainer(LAST_TWO)
    timeless = [[replace(record, wall_s=0.0) for record in run.epochs()] for run in (blind, tested)]
    assert timeless[0] == timeless[1]
    assert all(map(torch.equal, blind.model.parameters(), tested.model.parameters()))


def test_the_mean_of_the_last_gives_means_of_values_and_evaluations() -> None:
    run = trainer(LAST_TWO)
    records = []
    tests = []
    for record in run.epochs():
        records.append(record)
        tests.append(run.evaluate("test"))
    values = [record.monitored for record in records]
    assert [record.best for record in records] == pytest.approx(
        [values[0], *(sum(pair) / 2 for pair in pairwise(values))]
    )
    assert run.selected.validation() == mean_evaluation([record.val for record in records[-2:]])
    assert run.test() == mean_evaluation(tests[-2:])
    assert run.selected.value == pytest.approx(monitor_of("loss", run.benchmark)(run.selected.validation()))


@pytest.mark.parametrize("options", [OPTIONS, LAST_TWO, replace(OPTIONS, patience=2, schedule="plateau")])
@pytest.mark.parametrize("after", [1, 3, 4])
def test_a_resumed_selection_is_the_uninterrupted_one_bit_for_bit(options: TrainingOptions, after: int) -> None:
    whole = trainer(options)
    records = list(whole.epochs())
    half = trainer(options)
    for _ in range(after):
        half.run_epoch()
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = trainer(options, seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    rest = list(resumed.epochs())
    assert [(r.best, r.monitored, r.val) for r in rest] == [(r.best, r.monitored, r.val) for r in records[after:]]
    assert resumed.selected.validation() == whole.selected.validation()
    assert resumed.test() == whole.test()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.integers(1, 12))
def test_rules_give_the_lowest_value_or_the_mean_of_the_last(values: list[float], n: int) -> None:
    model = torch.nn.Linear(1, 1)
    best = BestEpoch().begin(len(values))
    last = MeanOfLast(epochs=n).begin(len(values))
    for value in values:
        for selector in (best, last):
            selector.update(value, evaluation(value), model)
    assert best.value == min(values)
    assert best.validation() == evaluation(min(values))
    assert best.stale_epochs == len(values) - 1 - values.index(min(values))
    tail = values[-n:]
    assert last.value == pytest.approx(sum(tail) / len(tail), abs=1e-6)
    assert last.validation().metrics["a/mae"] == pytest.approx(2 * sum(tail) / len(tail), abs=1e-6)


def test_the_network_that_stays_is_the_selected_epochs_or_the_last_where_epochs_are_averaged() -> None:
    losses = [3.0, 1.0, 2.0]
    best, last = BestEpoch().begin(3), MeanOfLast(epochs=2).begin(3)
    model = torch.nn.Linear(1, 1)
    for number, loss in enumerate(losses):
        torch.nn.init.constant_(model.weight, number)
        for selector in (best, last):
            selector.update(loss, evaluation(loss), model)
    assert best.network(model)["weight"].item() == 1
    assert last.network(model)["weight"].item() == 2


def test_nothing_is_selected_before_an_epoch() -> None:
    for rule in (BestEpoch(), MeanOfLast(epochs=1)):
        with pytest.raises(UserError, match="found none"):
            rule.begin(3).validation()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "mean_of_last", "epochs": 9}, "`selection.epochs` must be at most `epochs` = 9, found 10"),
        ({"selection": "mean_of_last", "patience": 3}, "`patience` has no effect with the selection 'mean_of_last'"),
        (
            {"selection": {"name": "best", "epochs": 3}},
            "Unknown option of the selection 'best' 'epochs'. Known: metric",
        ),
        ({"selection": {"name": "best", "metric": 5}}, "`selection.metric` must be `delta_m`, `loss` or the name"),
        ({"selection": "last"}, "Unknown selection 'last'. Did you mean 'mean_of_last'"),
        ({"schedule": "step"}, "`schedule.every` must be below `epochs` = 50, found 100.*`schedule: constant`"),
        ({"precision": "fp16"}, "Unknown precision 'fp16'. Did you mean 'bf16'"),
        ({"precision": {"name": "bf16", "scale": 2}}, "The precision 'bf16' has no options, found 'scale'"),
        ({"optimizer": "adamm"}, "Unknown optimizer 'adamm'. Did you mean 'adam'"),
        ({"optimizer": {"name": "adam", "momentum": 0.9}}, "Unknown option of the optimizer 'adam' 'momentum'"),
        ({"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}, "`optimizer.nesterov` has no effect without"),
        ({"clip_norm": 0}, "`clip_norm` must be a finite number greater than 0, found 0"),
    ],
)
def test_what_would_have_no_effect_or_is_unknown_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        TrainingOptions(**{"epochs": 50, "batch_size": 1, "lr": 0.1, **changes})
    assert "\n" not in str(caught.value)


class Mixed(Toy):
    """Two tasks: one with an F1 score and an error, one with an error alone."""

    def __init__(self) -> None:
        super().__init__(n_tasks=2)
        f1 = Metric("f1", higher_is_better=True)
        self.tasks = (Task("smile", (f1, Metric("mae"))), Task("age", (Metric("mae"),)))


@pytest.mark.parametrize(
    ("watched", "reference", "task", "expected"),
    [
        ("delta_m", True, None, 100 * (-(0.6 - 0.5) / 0.5 + (2 - 1) / 1 + (3 - 4) / 4) / 3),
        ("delta_m", False, None, 5.5),
        ("delta_m", False, 1, 10.0),
        ("loss", True, None, 5.5),
        ("f1", True, None, -0.6),
        ("f1", False, 0, -0.6),
        ("f1", False, 1, 10.0),
        ("mae", True, None, 2.5),
        ("mae", False, 1, 3.0),
    ],
)
def test_what_is_watched(watched: str, reference: bool, task: int | None, expected: float) -> None:
    single = {"smile/f1": 0.5, "smile/mae": 1.0, "age/mae": 4.0} if reference else None
    found = Evaluation((1.0, 10.0), {"smile/f1": 0.6, "smile/mae": 2.0, "age/mae": 3.0})
    assert monitor_of(watched, Mixed(), single, task)(found) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("watched", "reference", "value", "shown"),
    [
        ("delta_m", True, 12.345, "Δm % 12.3"),
        ("delta_m", False, 0.5, "loss 0.5"),
        ("f1", True, -0.90874, "f1 0.9087"),
        ("mae", True, 0.25, "mae 0.25"),
    ],
)
def test_what_is_watched_is_read_in_its_own_direction(watched: str, reference: bool, value: float, shown: str) -> None:
    found = watched_by(watched, Mixed(), reference=reference)
    assert f"{found.name} {found.text(value)}" == shown


def test_an_unknown_watched_metric_is_one_line() -> None:
    with pytest.raises(UserError, match=r"Unknown metric for `selection` on the benchmark 'toy' 'f2'.*f1"):
        check_watched("f2", Mixed())
