"""What a step queues on a device, counted on the meta device, where nothing can be waited for either."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from devices import ON_GPU, TEST_DEVICE, errors_where_the_host_waits
from queued import DEVICE, Queued, kernels, queued_by_step, variants
from torch.optim import SGD

from go4align import available_methods, build_weighting
from go4align.benchmarks.toy import Toy
from go4align.kernels import MOST_TASKS
from go4align.training.records import StepRecorder
from go4align.training.step import train_step

TASKS = 6
METHODS = [name for name in available_methods() if not build_weighting(name, TASKS).needs_gradients]
KINDS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    *(("go4align", {"n_groups": groups}) for groups in (1, 2, 5, 6)),
    ("go4align", {"space": "log", "n_groups": 3}),
    ("go4align", {"space": "log", "normalise": True}),
    ("go4align", {"indicator": "uw"}),
    ("go4align", {"indicator": "famo"}),
    ("dwa", {"window": None}),
    ("static", {"power": 0.5, "normalise": False}),
]


@pytest.fixture(autouse=True)
def on_the_cpu() -> Iterator[None]:
    """Whatever device the tests run on: what is made without one goes to the meta device by hand."""
    with torch.device("cpu"):
        yield


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11, 40, 64])
def test_a_fixed_number_of_groups_queues_at_most_sixty_operations(n_tasks: int) -> None:
    for n_groups in range(1, n_tasks + 1):
        counts = queued_by_step(build_weighting("go4align", n_tasks, n_groups=n_groups))
        assert 0 < counts.total() <= 60, (n_groups, counts)


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11, 40, 64, 128])
@pytest.mark.parametrize("space", ["linear", "log"])
def test_choosing_the_number_of_groups_queues_at_most_150_operations(n_tasks: int, space: str) -> None:
    counts = queued_by_step(build_weighting("go4align", n_tasks, space=space))
    assert 0 < counts.total() <= 150, counts


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11, 40, MOST_TASKS])
@pytest.mark.parametrize("n_groups", [1, 2, "auto"])
@pytest.mark.parametrize("space", ["linear", "log"])
def test_with_its_kernels_a_step_queues_little_more_than_plain_summation(
    n_tasks: int, n_groups: int | str, space: str
) -> None:
    with kernels():
        counts = queued_by_step(
            build_weighting("go4align", n_tasks, n_groups=n_groups if n_tasks > 1 else 1, space=space)
        )
    plain = queued_by_step(build_weighting("ls", n_tasks))
    assert counts["zero_"] == 2  # the launches
    assert counts.total() <= plain.total() + 6, counts - plain


def test_the_table_has_every_method_that_looks_at_losses_alone() -> None:
    assert {name.partition(",")[0] for name in variants()} == set(METHODS)


@pytest.mark.parametrize("device", [DEVICE, TEST_DEVICE] if ON_GPU else [DEVICE])
@pytest.mark.parametrize(("method", "options"), KINDS, ids=str)
def test_nothing_waits_for_the_device(method: str, options: dict[str, Any], device: str) -> None:
    """On the meta device `.item()`, `.tolist()`, `bool`, masks as indices and copies are errors: it has no values."""
    weighting = build_weighting(method, TASKS, **options).to(device)
    losses = torch.ones(TASKS, device=device, requires_grad=True) * 1.0
    weighting.backward(losses)  # what is made once
    losses = torch.ones(TASKS, device=device, requires_grad=True) * 1.0
    with errors_where_the_host_waits():
        weighting.weigh(losses.detach())
        record = weighting.backward(losses)
        if weighting.needs_losses_after:
            weighting.after_step(losses.detach())
    assert record.weights.device.type == torch.device(device).type


@pytest.mark.parametrize("read", ["item", "tolist", "cpu", "__bool__", "__int__", "__float__", "nonzero"])
def test_the_device_refuses_to_be_read(read: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        getattr(torch.ones((), device=DEVICE), read)()


@pytest.mark.parametrize(("method", "options"), KINDS, ids=str)
def test_an_epoch_collects_its_records_without_waiting(method: str, options: dict[str, Any]) -> None:
    """By plain gradient descent, which keeps nothing; a first step that makes an optimiser's state is waited for."""
    benchmark = Toy()
    model = benchmark.build_model().to(DEVICE)
    weighting = build_weighting(method, TASKS, **options).to(DEVICE)
    optimizer = SGD([{"params": model.parameters()}, *weighting.parameter_groups()], lr=1e-2)
    recorder = StepRecorder()
    steps = 0
    for batch in benchmark.batches("train", 32):
        there = batch.to(torch.device(DEVICE))
        recorder.add(*train_step(benchmark, model, there, weighting, optimizer, model.shared_parameters()))
        steps += 1
    assert steps > 2
    with pytest.raises((RuntimeError, NotImplementedError)):  # the summary is what reads
        recorder.summary()


def test_an_operator_that_could_hide_others_is_not_counted_but_refused() -> None:
    @torch.library.custom_op("go4align_test::twice", mutates_args=())
    def twice(values: torch.Tensor) -> torch.Tensor:
        return values + values

    twice.register_fake(torch.empty_like)
    with pytest.raises(RuntimeError, match=r"go4align_test.twice.default would hide"), Queued():
        twice(torch.ones(2, device=DEVICE))
