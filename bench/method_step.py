"""A training step of each method against one of a plain sum, in processor time and in floating-point operations.

    python bench/method_step.py                                    # GO4Align on QM9 as published: dim 64, batch 120
    python bench/method_step.py nyuv2-demo celeba-demo --methods all --train 0 200

All take turns on the same batches, each with a model of its own, in one process on one thread; the figure is the median
over batches of the ratio of processor times, which a busy machine disturbs least. `--train` names after how many steps
of training by that method it is measured.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim import Adam
from torch.utils.flop_counter import FlopCounterMode

from go4align import available_methods, build_weighting, hyperparameters
from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.qm9 import QM9
from go4align.training import train_step
from study.spec import load_study

PLAIN = "ls"
AS_PUBLISHED = "qm9-as-published"
VARIANTS: dict[str, dict[str, Any]] = {
    "go4align": {"n_groups": 2},
    "go4align auto": {"n_groups": "auto"},
}
"""With options of their own; of a few tasks 2 is the paper's number of groups."""


class Lane:
    """A model that one method trains."""

    def __init__(self, name: str, benchmark: Benchmark, lr: float) -> None:
        torch.manual_seed(0)
        method, *form = name.split()
        options = VARIANTS.get(name, {"gramian": form[0]} if form else {})
        self.benchmark = benchmark
        self.model = benchmark.build_model()
        self.weighting = build_weighting(method, benchmark.n_tasks, **options)
        groups = [{"params": self.model.parameters()}, *self.weighting.parameter_groups()]
        self.optimizer = Adam(groups, lr=lr)
        self.shared = self.model.shared_parameters()
        self.seconds: list[float] = []

    def step(self, batch: Any) -> None:
        start = time.process_time()
        train_step(self.benchmark, self.model, batch, self.weighting, self.optimizer, self.shared)
        self.seconds.append(time.process_time() - start)

    def operations(self, batch: Any) -> float:
        """Floating-point operations of a step."""
        with FlopCounterMode(display=False) as counter:
            self.step(batch)
        return float(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=[AS_PUBLISHED])
    parser.add_argument("--methods", nargs="+", default=["go4align", "go4align auto"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--train", type=int, nargs="+", default=[3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for preset in options.presets:
        benchmark, batch_size, lr = published() if preset == AS_PUBLISHED else of_preset(preset)
        names = every_method() if options.methods == ["all"] else options.methods
        measure(preset, benchmark, batch_size, lr, [name for name in names if name != PLAIN], options)


def published() -> tuple[Benchmark, int, float]:
    return QM9(), 120, 1e-3


def of_preset(name: str) -> tuple[Benchmark, int, float]:
    study = load_study(name)
    return study.build_benchmark(), study.training.batch_size, study.training.lr


def every_method() -> list[str]:
    """All, and those with a Gramian from the representation, too."""
    forms = [f"{name} representation" for name in available_methods() if "gramian" in hyperparameters(name)]
    return [name for name in (*available_methods(), "go4align auto", *forms) if name != "stl"]


def measure(preset: str, benchmark: Benchmark, size: int, lr: float, names: list[str], options: Any) -> None:
    lanes = {name: Lane(name, benchmark, lr) for name in (PLAIN, *names)}
    passes = batches(benchmark, size)
    done = 0
    for trained in options.train:
        for batch in itertools.islice(passes, trained - done):
            for lane in lanes.values():
                lane.step(batch)
        for batch in itertools.islice(passes, options.steps + 1):  # the first of them warms up
            for lane in lanes.values():
                lane.step(batch)
        done = trained + options.steps + 1
        report(f"{preset}, batch {size}, one thread, {options.steps} steps after {trained}", lanes, options.steps)
    batch = next(passes)
    plain = lanes[PLAIN].operations(batch)
    print("operations: " + ", ".join(f"{name} {lanes[name].operations(batch) / plain:.2f} x ls" for name in names))


def batches(benchmark: Benchmark, size: int) -> Iterator[Any]:
    shuffle = torch.Generator().manual_seed(0)
    for _ in itertools.count():
        for batch in benchmark.batches("train", size, shuffle):
            yield batch.to(torch.device("cpu"))


def report(title: str, lanes: dict[str, Lane], steps: int) -> None:
    print(title)
    plain = lanes[PLAIN].seconds[-steps:]
    for name, lane in lanes.items():
        own = lane.seconds[-steps:]
        ratios = [mine / theirs for mine, theirs in zip(own, plain, strict=True)]
        print(f"{name:>24}: {1e3 * statistics.median(own):7.1f} ms, {statistics.median(ratios):6.3f} x ls")


if __name__ == "__main__":
    main()
