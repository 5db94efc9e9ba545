"""What every registered benchmark keeps to, run on its small variant."""

import math
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import here
from torch import Tensor
from torch.overrides import TorchFunctionMode

from go4align import build_weighting
from go4align.benchmarks.base import Benchmark, Split
from go4align.benchmarks.registry import available_benchmarks, benchmark_class, benchmark_options, build_benchmark
from go4align.metrics import Evaluation
from go4align.models.base import MultiTaskModel
from go4align.training import Trainer, TrainingOptions, monitor_of

SPLITS: tuple[Split, ...] = ("train", "val", "test")
BATCH = 16
CODE = {".py", ".pyc", ".so"}


@pytest.fixture(scope="module", params=available_benchmarks())
def cls(request: pytest.FixtureRequest) -> type[Benchmark]:
    return benchmark_class(request.param)


@pytest.fixture(scope="module")
def small(cls: type[Benchmark]) -> Benchmark:
    benchmark = cls.small()
    benchmark.prepare()
    return benchmark


class Watching:
    """Notes which files are opened, imports aside, while `on`. Python's audit hooks stay until the process ends."""

    def __init__(self) -> None:
        self.on = False
        self.opened: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and Path(str(arguments[0])).suffix not in CODE:
            self.opened.append(str(arguments[0]))


class Counting(TorchFunctionMode):
    """Counts calls of torch."""

    calls = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return function(*args, **(kwargs or {}))


def tensors(value: Any) -> list[Tensor]:
    """The tensors of a batch or representation, at any depth."""
    if isinstance(value, Tensor):
        return [value]
    parts = vars(value).values() if hasattr(value, "__dict__") else value if isinstance(value, Iterable) else ()
    return [] if isinstance(value, str) else [tensor for part in parts for tensor in tensors(part)]


def equal(first: Any, second: Any) -> bool:
    pairs = zip(tensors(first), tensors(second), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def test_batches_are_made_on_the_host_whatever_the_default_device_is(cls: type[Benchmark]) -> None:
    with torch.device("meta"):
        fresh = cls.small()
        for generator in (None, torch.Generator().manual_seed(0)):
            batch = next(fresh.batches("train", BATCH, generator))
            assert tensors(batch) and all(tensor.is_cpu for tensor in tensors(batch))


def samples(benchmark: Benchmark, split: Split, generator: torch.Generator | None = None) -> list[bytes]:
    """The samples of one pass, told apart by all that they hold."""
    batches = benchmark.batches(split, 1, generator)
    return [b"".join(tensor.numpy().tobytes() for tensor in tensors(batch)) for batch in batches]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def evaluated(benchmark: Benchmark, model: MultiTaskModel, batches: Iterable[Any]) -> Evaluation:
    accumulator = benchmark.accumulator()
    for batch in map(here, batches):
        accumulator.update(model(batch), batch)
    return accumulator.compute()


def gradients(model: MultiTaskModel, loss: Tensor) -> list[bool]:
    """Which shared parameters a loss depends on."""
    found = torch.autograd.grad(loss, model.shared_parameters(), retain_graph=True, allow_unused=True)
    return [gradient is not None for gradient in found]


def test_the_constructor_only_checks_its_options(cls: type[Benchmark]) -> None:
    watching = Watching()
    counting = Counting()
    tracemalloc.start()
    watching.on = True
    try:
        with counting:
            benchmark = cls()
            _ = benchmark.tasks, benchmark.protocol, benchmark.metrics(), benchmark.published_stl()
        _, most = tracemalloc.get_traced_memory()
    finally:
        watching.on = False
        tracemalloc.stop()
    assert watching.opened == []
    assert counting.calls == 0
    assert most < 2**20


def test_it_goes_by_its_name_and_names_its_options(cls: type[Benchmark]) -> None:
    assert benchmark_class(cls.name) is cls
    assert type(build_benchmark(cls.name, **benchmark_options(cls.name))) is cls  # every option has a default


def test_the_protocol_is_one_that_can_be_trained(cls: type[Benchmark]) -> None:
    long_enough = 1000
    options = TrainingOptions(**vars(cls.protocol), epochs=long_enough, batch_size=BATCH, lr=1e-3)
    monitor_of(options.selection_rule.metric, cls())


def test_tasks_and_metrics_have_names_of_their_own_and_published_numbers_a_source(small: Benchmark) -> None:
    assert len(set(small.task_names)) == small.n_tasks >= 1
    assert all(task.metrics for task in small.tasks)
    assert len(small.metrics()) == sum(len(task.metrics) for task in small.tasks)
    assert not [name for name in small.task_names if not name or "/" in name]
    published = small.published_stl()
    assert set(published) <= set(small.metrics())
    assert all(math.isfinite(value) and value != 0 for value in published.values())
    assert bool(published) == bool(small.published_source)
    assert [name for names in small.families().values() for name in names if name not in small.task_names] == []


@pytest.mark.parametrize("split", SPLITS)
def test_batches_cover_a_split_once_in_an_order_that_the_generator_decides(small: Benchmark, split: Split) -> None:
    assert len(list(small.batches(split, BATCH))) == math.ceil(small.size(split) / BATCH)
    ordered = samples(small, split)
    shuffled = samples(small, split, seeded())
    assert len(ordered) == small.size(split)
    assert Counter(shuffled) == Counter(ordered)
    assert shuffled == samples(small, split, seeded())
    assert shuffled != samples(small, split, seeded(1))
    assert ordered == samples(small, split)


def test_splits_do_not_overlap(small: Benchmark) -> None:
    train, val, test = (set(samples(small, split)) for split in SPLITS)
    assert not train & val and not train & test and not val & test


def test_an_epoch_is_the_same_in_the_mean_however_it_is_ordered_and_cut(small: Benchmark) -> None:
    torch.manual_seed(0)
    model = small.build_model().eval()
    passes = small.batches("train", BATCH), small.batches("train", BATCH, seeded()), small.batches("train", 50)
    means = [evaluated(small, model, batches) for batches in passes]
    for other in means[1:]:
        assert other.losses == pytest.approx(means[0].losses, rel=1e-4)
        assert other.metrics == pytest.approx(means[0].metrics, rel=1e-4)


def test_a_batch_moves_to_a_device_and_augmentation_is_seeded(small: Benchmark) -> None:
    batch = next(iter(small.batches("train", BATCH, seeded()))).to(torch.device("cpu"))
    kept = [tensor.clone() for tensor in tensors(batch)]
    once = small.augment(batch, seeded(1))
    assert equal(batch, kept)  # not in place
    assert equal(once, small.augment(batch, seeded(1)))
    assert all(tensor.device.type == "cpu" for tensor in tensors(once))


def test_losses_are_one_finite_number_per_task_attached_to_the_graph(small: Benchmark) -> None:
    torch.manual_seed(0)
    model = small.build_model()
    batch = here(next(iter(small.batches("train", BATCH, seeded()))))
    representation = model.encode(batch)
    assert tensors(representation) and all(tensor.requires_grad for tensor in tensors(representation))
    losses = small.losses(model.decode(representation), batch)
    assert losses.shape == (small.n_tasks,)
    assert losses.is_floating_point() and losses.requires_grad and losses.isfinite().all()


def test_shared_parameters_are_those_that_every_loss_depends_on(small: Benchmark) -> None:
    torch.manual_seed(0)
    model = small.build_model()
    batch = here(next(iter(small.batches("train", BATCH, seeded()))))
    losses = small.losses(model(batch), batch)
    shared = model.shared_parameters()
    ours = {id(parameter) for parameter in model.parameters()}
    assert shared and len({id(parameter) for parameter in shared}) == len(shared)
    assert {id(parameter) for parameter in shared} <= ours
    for task in range(small.n_tasks):
        assert all(gradients(model, losses[task]))


def test_shared_parameters_are_reached_through_the_representation_alone(small: Benchmark) -> None:
    torch.manual_seed(0)
    model = small.build_model()
    batch = here(next(iter(small.batches("train", BATCH, seeded()))))
    found = model.encode(batch)
    cut = found.detach() if isinstance(found, Tensor) else [tensor.detach() for tensor in found]
    losses = small.losses(model.decode(cut), batch)
    if losses.requires_grad:
        assert not any(gradients(model, losses.sum()))


def test_the_accumulator_names_every_metric_and_owns_the_means(small: Benchmark) -> None:
    torch.manual_seed(0)
    model = small.build_model().eval()
    found = [evaluated(small, model, small.batches("val", size)) for size in (BATCH, 7)]
    assert list(found[0].metrics) == list(small.metrics())
    assert len(found[0].losses) == small.n_tasks
    assert all(math.isfinite(value) for value in (*found[0].losses, *found[0].metrics.values()))
    assert found[0].losses == pytest.approx(found[1].losses, rel=1e-4)
    assert found[0].metrics == pytest.approx(found[1].metrics, rel=1e-4)


def trainer(benchmark: Benchmark, *, seed: int = 0, test: bool = False) -> Trainer:
    return Trainer(
        benchmark,
        partial(build_weighting, "ls", n_tasks=benchmark.n_tasks),
        TrainingOptions(epochs=3, batch_size=64, lr=1e-3),
        seed=seed,
        monitor=monitor_of("loss", benchmark),
        test=test,
    )


def test_equal_seeds_give_equal_runs_and_a_resumed_one_is_the_whole_one(small: Benchmark) -> None:
    whole = trainer(small, test=True)
    records = list(whole.epochs())
    half = trainer(small, test=True)
    half.run_epoch()
    resumed = trainer(small, seed=99, test=True)
    resumed.load_state_dict(half.state_dict())
    rest = list(resumed.epochs())
    assert [record.val for record in rest] == [record.val for record in records[1:]]
    assert resumed.test() == whole.test()
    assert equal(list(resumed.model.parameters()), list(whole.model.parameters()))
    other = trainer(small, seed=1)
    assert other.run_epoch().val != records[0].val


def test_a_small_variant_learns(small: Benchmark) -> None:
    run = trainer(small)
    before = sum(run.evaluate("val").losses)
    assert sum(list(run.epochs())[-1].val.losses) < before
