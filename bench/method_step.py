"""A QM9 training step with GO4Align against one with a plain sum, as published (dim 64, batch 120).

The two take turns on the same batches, each with a model of its own, in one process; the figure is the median over
batches of the ratio of CPU time, which a busy machine disturbs least.

    python bench/method_step.py [--steps 60]
"""

import argparse
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
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    benchmark = QM9(train_size=120 * steps)
    lanes = {}
    for name, options in METHODS.items():
        torch.manual_seed(0)
        model = benchmark.build_model()
        weighting: Weighting = build_weighting(name.split()[0], benchmark.n_tasks, **options)
        lanes[name] = (model, weighting, Adam(model.parameters(), lr=1e-3), model.shared_parameters())
    seconds: dict[str, list[float]] = {name: [] for name in lanes}
    for batch in benchmark.batches("train", 120, torch.Generator().manual_seed(0)):
        for name, (model, weighting, optimizer, shared) in lanes.items():
            start = time.process_time()
            train_step(benchmark, model, batch, weighting, optimizer, shared)
            seconds[name].append(time.process_time() - start)
    warm = 3
    print(f"QM9, batch 120, dim 64, one thread, {steps - warm} steps after {warm} to warm up")
    for name, times in seconds.items():
        ratios = [mine / plain for mine, plain in zip(times[warm:], seconds["ls"][warm:], strict=True)]
        median = statistics.median(times[warm:])
        print(f"{name:>14}: {1e3 * median:6.1f} ms, {statistics.median(ratios):.3f} x ls")


if __name__ == "__main__":
    main()
