"""Does every task of a demo on generated data beat the best constant guess, in the best method's mean over final seeds?

    python bench/constant_guess.py [NAME ...]

Reads the demos' final runs from the tracking store (`make demos` makes them), and prints for each metric the best
constant guess, and the best method's mean on the test split. Ends with code 1 where one is not beaten.
"""

import sys
from typing import Any

import numpy as np
import torch

from go4align.benchmarks.base import Benchmark, Split
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.dense.batch import DenseBatch
from go4align.benchmarks.dense.benchmark import DenseBenchmark
from go4align.benchmarks.registry import build_benchmark
from study.results import open_study
from study.results.stored import exists

DEMOS = ("nyuv2-demo", "cityscapes-demo", "celeba-demo")


def constant_scores(benchmark: Benchmark) -> dict[str, float]:
    """What guesses that look at no picture score on the test split, by `task/metric`."""
    if isinstance(benchmark, CelebA):
        return _of_attributes(benchmark)
    assert isinstance(benchmark, DenseBenchmark), f"no constant guess of {benchmark.name} is known here"
    return _of_pixels(benchmark)


def _of_attributes(benchmark: CelebA) -> dict[str, float]:
    """F1 of "yes" to all: 2 p / (1 + p) for a share p. That of "no" is 0."""
    share = _whole(benchmark, "test").attributes.mean(0).tolist()
    return {f"{task.name}/f1": 2 * p / (1 + p) for task, p in zip(benchmark.tasks, share, strict=True)}


def _of_pixels(benchmark: DenseBenchmark) -> dict[str, float]:
    """Those of the training split's most frequent class, median depth, and best single direction."""
    train: DenseBatch = _whole(benchmark, "train")
    test: DenseBatch = _whole(benchmark, "test")
    common = int(torch.bincount(train.labels[train.labels >= 0]).argmax())
    classes = torch.zeros(len(test.images), benchmark.n_classes, *test.images.shape[2:])
    classes[:, common] = 1
    outputs = [classes, torch.full_like(test.depth, float(train.depth[train.depth > 0].median()))]
    if train.normals is not None and test.normals is not None:
        normals = train.normals.movedim(1, -1)[train.normals.norm(dim=1) > 0].numpy()
        guesses = np.stack([normals.mean(0) / np.linalg.norm(normals.mean(0)), *np.eye(3), *-np.eye(3)])
        angles = np.arccos(np.clip(normals @ guesses.T, -1, 1)).mean(0)
        best = torch.from_numpy(guesses[angles.argmin()]).float()
        outputs.append(best[None, :, None, None].expand_as(test.normals))
    accumulator = benchmark.accumulator()
    accumulator.update(outputs, test)
    return dict(accumulator.compute().metrics)


def _whole(benchmark: Benchmark, split: Split) -> Any:
    [batch] = benchmark.batches(split, benchmark.size(split))
    return batch.to(torch.device("cpu"))


def main(names: list[str]) -> int:
    """Compare every demo that was run; how many have a metric that is not beaten."""
    failed = 0
    for name in names or DEMOS:
        if exists(name):
            failed += not compare(name)
        else:
            print(f"{name}: not run. First: study run {name}; study final {name}")
    return failed


def compare(name: str) -> bool:
    """Print the comparison of a study's best row; whether all metrics beat the guess."""
    stored = open_study(name)
    section = stored.study.benchmark
    benchmark = build_benchmark(section.name, **section.options)
    best = stored.final_table().rows[0].candidate
    found = stored.metrics.query(
        "stage == 'final' and split == 'test' and method == @best.method and origin == @best.origin"
    )
    means = found.groupby([found["task"] + "/" + found["metric"]])["value"].mean()
    seeds = found["seed"].nunique()
    metrics = benchmark.metrics()
    beaten = 0
    constant = {key: value for key, value in constant_scores(benchmark).items() if key in means}
    print(f"{name}: {best.method} ({best.origin}), mean of {seeds} seeds, against the best constant guess")
    for key, guess in constant.items():
        better = means[key] > guess if metrics[key].higher_is_better else means[key] < guess
        beaten += better
        print(f"  {key:32} {means[key]:8.3f} {guess:8.3f} {'' if better else 'not beaten'}")
    print(f"{beaten} of {len(constant)} metrics beat it")
    return beaten == len(constant)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
