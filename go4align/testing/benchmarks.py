"""The contract of benchmarks: they run on `MyBenchmark.small()`, on the CPU, in seconds."""

from __future__ import annotations

import inspect
import math
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from go4align.benchmarks.base import Benchmark, Split
from go4align.metrics import Evaluation
from go4align.models.base import MultiTaskModel
from go4align.testing.common import requirement
from go4align.training import Trainer, TrainingOptions, monitor_of
from go4align.weighting.registry import build_weighting

Check = Callable[[type[Benchmark]], None]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
_BATCH = 16
_LONG = 1000
"""Epochs that any schedule and selection fits into."""
_ROUNDING = 1e-4
_CODE = {".py", ".pyc", ".so"}
_MOST_BYTES = 2**20
_require = requirement("benchmark")


def check_benchmark(benchmark: type[Benchmark]) -> None:
    """Check all that the training loop and studies rely on.

    Args:
        benchmark: the class; its `small()` is prepared and trained.

    Raises:
        BrokenContractError: the first thing that is not as it must be.
    """
    for check in BENCHMARK_CHECKS.values():
        check(benchmark)


def constructor_only_checks_options(benchmark: type[Benchmark]) -> None:
    """Studies build benchmarks to check files: no file is read, nothing computed, no data made in a constructor."""
    watching = _Watching()
    counting = _Counting()
    tracemalloc.start()
    watching.on = True
    try:
        with counting:
            built = benchmark()
            _ = built.tasks, built.protocol, built.metrics(), built.published_stl()
        _, most = tracemalloc.get_traced_memory()
    finally:
        watching.on = False
        tracemalloc.stop()
    _require(not watching.opened, "the constructor to read no files: move that to `prepare`", watching.opened[:3])
    _require(counting.calls == 0, "the constructor to compute nothing with torch", f"{counting.calls} calls")
    _require(most < _MOST_BYTES, "the constructor to make no data", f"{most:,} bytes")


def every_option_has_a_default(benchmark: type[Benchmark]) -> None:
    """And is passed by its name."""
    for name, parameter in inspect.signature(benchmark).parameters.items():
        _require(parameter.kind is parameter.KEYWORD_ONLY, "options to be passed by name alone (after `*`)", name)
        _require(parameter.default is not parameter.empty, "a default for every option", f"none for `{name}`")
    _require(bool(getattr(benchmark, "name", "")), "the class to have a `name`", "none")


def protocol_can_be_trained(benchmark: type[Benchmark]) -> None:
    """The protocol's names are known, and its selection watches a metric that there is."""
    options = TrainingOptions(**vars(benchmark.protocol), epochs=_LONG, batch_size=_BATCH, lr=1e-3)
    monitor_of(options.selection_rule.metric, benchmark())


def tasks_and_metrics_are_named(benchmark: type[Benchmark]) -> None:
    """Names are unique, and published numbers are of metrics that there are, with their source."""
    small = _small(benchmark)
    names = small.task_names
    _require(len(set(names)) == len(names) >= 1, "tasks to have names of their own", names)
    _require(not [name for name in names if not name or "/" in name], "names without `/`", names)
    _require(all(task.metrics for task in small.tasks), "every task to have a metric", names)
    n_metrics = sum(len(task.metrics) for task in small.tasks)
    _require(len(small.metrics()) == n_metrics, "a task's metrics to have names of their own", list(small.metrics()))
    published = small.published_stl()
    _require(set(published) <= set(small.metrics()), "published numbers of known metrics", list(published))
    finite = all(math.isfinite(value) and value != 0 for value in published.values())
    _require(finite, "published numbers that changes can be relative to", published)
    _require(bool(published) == bool(small.published_source), "a source of published numbers", small.published_source)


def splits_are_covered_once(benchmark: type[Benchmark]) -> None:
    """In an order that the generator alone decides, and in stored order without one; no sample is in two splits."""
    small = _small(benchmark)
    every = {split: _samples(small, split) for split in SPLITS}
    for split, ordered in every.items():
        _require(len(ordered) == small.size(split), f"size('{split}') samples in `batches`", len(ordered))
        batches = len(list(small.batches(split, _BATCH)))
        _require(
            batches == math.ceil(small.size(split) / _BATCH), "batches of the size asked for", f"{batches} batches"
        )
        shuffled = _samples(small, split, _seeded())
        _require(Counter(shuffled) == Counter(ordered), "a shuffled pass to have every sample once", split)
        _require(shuffled == _samples(small, split, _seeded()), "equal generators to give equal orders", split)
        _require(shuffled != _samples(small, split, _seeded(1)), "other seeds to give other orders", split)
        _require(ordered == _samples(small, split), "the same order without a generator", split)
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        both = len(set(every[one]) & set(every[other]))  # type: ignore[index]  # they are splits
        _require(both == 0, f"no sample of {one} to be in {other}", f"{both} that are")


def batches_are_made_on_the_host(benchmark: type[Benchmark]) -> None:
    """Whatever torch's default device is: a batch is moved by `to`."""
    with torch.device("meta"):
        fresh = benchmark.small()
        for generator in (None, torch.Generator().manual_seed(0)):
            found = _tensors(next(iter(fresh.batches("train", _BATCH, generator))))
            _require(bool(found), "tensors in a batch", "none")
            _require(all(tensor.is_cpu for tensor in found), "batches on the CPU", {str(t.device) for t in found})


def augmentation_is_seeded_and_not_in_place(benchmark: type[Benchmark]) -> None:
    """Its generator is its only source of random numbers."""
    small = _small(benchmark)
    batch = next(iter(small.batches("train", _BATCH, _seeded()))).to(torch.device("cpu"))
    kept = [tensor.clone() for tensor in _tensors(batch)]
    once = small.augment(batch, _seeded(1))
    _require(_equal(batch, kept), "`augment` to leave its batch as it is", "a changed one")
    torch.rand(7)
    _require(_equal(once, small.augment(batch, _seeded(1))), "equal generators to augment alike", "a difference")


def losses_are_one_per_task(benchmark: type[Benchmark]) -> None:
    """Finite, attached to the graph, and every one depends on every shared parameter."""
    small = _small(benchmark)
    model, batch = _fresh(small)
    representation = model.encode(batch)
    outputs = _tensors(representation)
    attached = bool(outputs) and all(tensor.requires_grad for tensor in outputs)
    _require(attached, "`encode` to give tensors that are attached to the graph", representation)
    losses = small.losses(model.decode(representation), batch)
    _require(losses.shape == (small.n_tasks,), f"losses of shape ({small.n_tasks},)", tuple(losses.shape))
    _require(losses.is_floating_point() and losses.requires_grad, "losses attached to the graph", losses)
    _require(bool(losses.isfinite().all()), "finite losses of a fresh model", losses.tolist())
    shared = model.shared_parameters()
    ours = {id(parameter) for parameter in model.parameters()}
    known = bool(shared) and {id(p) for p in shared} <= ours and len({id(p) for p in shared}) == len(shared)
    _require(known, "`shared_parameters` to be some of the model's, each once", f"{len(shared)} of them")
    for task, name in enumerate(small.task_names):
        reached = all(_reached(model, losses[task]))
        _require(reached, f"the loss of '{name}' to depend on every shared parameter", "one that it does not")


def representation_is_the_only_way(benchmark: type[Benchmark]) -> None:
    """The losses depend on the shared parameters through what `encode` gives, and in no other way."""
    small = _small(benchmark)
    model, batch = _fresh(small)
    found = model.encode(batch)
    cut = found.detach() if isinstance(found, Tensor) else [tensor.detach() for tensor in found]
    losses = small.losses(model.decode(cut), batch)
    passed = losses.requires_grad and any(_reached(model, losses.sum()))
    _require(not passed, "`decode` not to use shared parameters", "some that it reads")


def accumulator_owns_the_means(benchmark: type[Benchmark]) -> None:
    """Every metric is named, and no result depends on how a pass is ordered or cut into batches."""
    small = _small(benchmark)
    torch.manual_seed(0)
    model = small.build_model().eval()
    found = [_evaluated(small, model, small.batches("val", size)) for size in (_BATCH, 7)]
    found += [_evaluated(small, model, small.batches("train", _BATCH, seed)) for seed in (None, _seeded())]
    for evaluation in found:
        keys = list(evaluation.metrics)
        _require(keys == list(small.metrics()), f"the metrics {', '.join(small.metrics())}", keys)
        _require(len(evaluation.losses) == small.n_tasks, "a mean loss for each task", len(evaluation.losses))
        values = (*evaluation.losses, *evaluation.metrics.values())
        _require(all(map(math.isfinite, values)), "finite losses and metrics", values)
    for one, other in (found[:2], found[2:]):
        near = _near(one.losses, other.losses) and _near(one.metrics.values(), other.metrics.values())
        _require(near, "means that batches and order do not change", (one, other))


def runs_repeat_and_resume(benchmark: type[Benchmark]) -> None:
    """Equal seeds give equal runs, a resumed run is the whole one bit for bit, and the small variant learns."""
    small = _small(benchmark)
    whole = _trainer(small, test=True)
    before = sum(whole.evaluate("val").losses)
    records = list(whole.epochs())
    half = _trainer(small, test=True)
    half.run_epoch()
    resumed = _trainer(small, seed=99, test=True)
    resumed.load_state_dict(half.state_dict())
    rest = [record.val for record in resumed.epochs()]
    same = rest == [record.val for record in records[1:]] and resumed.test() == whole.test()
    same = same and _equal(list(resumed.model.parameters()), list(whole.model.parameters()))
    _require(same, "a run that is stopped and resumed to equal the whole one", "another")
    _require(_trainer(small, seed=1).run_epoch().val != records[0].val, "other seeds to give other runs", "the same")
    after = sum(records[-1].val.losses)
    _require(after < before, "the validation losses to fall in three epochs", f"{before:g} -> {after:g}")


BENCHMARK_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        constructor_only_checks_options,
        every_option_has_a_default,
        protocol_can_be_trained,
        tasks_and_metrics_are_named,
        splits_are_covered_once,
        batches_are_made_on_the_host,
        augmentation_is_seeded_and_not_in_place,
        losses_are_one_per_task,
        representation_is_the_only_way,
        accumulator_owns_the_means,
        runs_repeat_and_resume,
    )
}
"""Every check by its name, quick ones first."""


class _Watching:
    """Notes which files are opened, imports aside, while `on`. Python's audit hooks stay until the process ends."""

    def __init__(self) -> None:
        self.on = False
        self.opened: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and Path(str(arguments[0])).suffix not in _CODE:
            self.opened.append(str(arguments[0]))


class _Counting(TorchFunctionMode):
    """Counts calls of torch."""

    calls = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return function(*args, **(kwargs or {}))


@lru_cache(maxsize=2)
def _small(benchmark: type[Benchmark]) -> Benchmark:
    small = benchmark.small()
    small.prepare()
    return small


def _fresh(small: Benchmark) -> tuple[MultiTaskModel, Any]:
    """A fresh model and a training batch."""
    torch.manual_seed(0)
    return small.build_model(), next(iter(small.batches("train", _BATCH, _seeded()))).to(torch.device("cpu"))


def _tensors(value: Any) -> list[Tensor]:
    """The tensors of a batch or representation, at any depth."""
    if isinstance(value, Tensor):
        return [value]
    parts = vars(value).values() if hasattr(value, "__dict__") else value if isinstance(value, Iterable) else ()
    return [] if isinstance(value, str) else [tensor for part in parts for tensor in _tensors(part)]


def _equal(first: Any, second: Any) -> bool:
    pairs = zip(_tensors(first), _tensors(second), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def _near(first: Iterable[float], second: Iterable[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_ROUNDING, abs_tol=1e-9) for a, b in zip(first, second, strict=True))


def _samples(small: Benchmark, split: Split, generator: torch.Generator | None = None) -> list[bytes]:
    """The samples of one pass, told apart by all that they hold."""
    batches = small.batches(split, 1, generator)
    return [b"".join(tensor.numpy().tobytes() for tensor in _tensors(batch)) for batch in batches]


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _reached(model: MultiTaskModel, loss: Tensor) -> list[bool]:
    """Which shared parameters a loss depends on."""
    found = torch.autograd.grad(loss, model.shared_parameters(), retain_graph=True, allow_unused=True)
    return [gradient is not None for gradient in found]


@torch.no_grad()
def _evaluated(small: Benchmark, model: MultiTaskModel, batches: Iterable[Any]) -> Evaluation:
    accumulator = small.accumulator()
    for batch in batches:
        moved = batch.to(torch.device("cpu"))
        accumulator.update(model(moved), moved)
    return accumulator.compute()


def _trainer(small: Benchmark, *, seed: int = 0, test: bool = False) -> Trainer:
    return Trainer(
        small,
        partial(build_weighting, "ls", n_tasks=small.n_tasks),
        TrainingOptions(epochs=3, batch_size=64, lr=1e-3),
        seed=seed,
        monitor=monitor_of("loss", small),
        device="cpu",
        test=test,
    )
