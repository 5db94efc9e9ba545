"""A QM9 training step with GO4Align against one with a plain sum, as published (dim 64, batch 120).

The two take turns on the same batches, each with a model of its own, in one process; the figure is the median over
batches of the ratio of CPU time, which a busy machine disturbs least.

    python bench/method_step.py [--steps 60] [--train 1000]
"""

import argparse
import itertools
import statistics
import time

import torch
from torch.optim import Adam

from go4align import Weighting, build_weighting
from go4align.benchmarks.qm9 import QM9
from go4align.training import train_step

METHODS = {"ls": {}, "go4align": {"n_groups": 5}, "go4align auto": {"n_groups": "auto"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--train", type=int, default=3, help="steps before those that are measured")
    options = parser.parse_args()
    warm = options.train
    steps = warm + options.steps
    torch.set_num_threads(1)
    benchmark = QM9(train_size=min(120 * steps, 110_000))
    lanes = {}
    for name, hyperparameters in METHODS.items():
        torch.manual_seed(0)
        model = benchmark.build_model()
        weighting: Weighting = build_weighting(name.split()[0], benchmark.n_tasks, **hyperparameters)
        lanes[name] = (model, weighting, Adam(model.parameters(), lr=1e-3), model.shared_parameters())
    seconds: dict[str, list[float]] = {name: [] for name in lanes}
    shuffle = torch.Generator().manual_seed(0)
    passes = itertools.chain.from_iterable(benchmark.batches("train", 120, shuffle) for _ in itertools.count())
    for batch in itertools.islice(passes, steps):
        for name, (model, weighting, optimizer, shared) in lanes.items():
            start = time.process_time()
            train_step(benchmark, model, batch, weighting, optimizer, shared)
            seconds[name].append(time.process_time() - start)
    print(f"QM9, batch 120, dim 64, one thread, {options.steps} steps after {warm} of training")
    for name, times in seconds.items():
        ratios = [mine / plain for mine, plain in zip(times[warm:], seconds["ls"][warm:], strict=True)]
        median = statistics.median(times[warm:])
        print(f"{name:>14}: {1e3 * median:6.1f} ms, {statistics.median(ratios):.3f} x ls")


if __name__ == "__main__":
    main()
