"""A QM9 training step (forward, backward, Adam) against torch_geometric's NNConv network as published, side by side.

    python bench/qm9_step.py [--batch 120] [--dim 64] [--edge-hidden 128] [--steps 10] [--threads 1]

Same molecules, same parameters, in one process, step by step in turn; times are medians. Peak memory is what a step
adds to the resident memory of a process of its own that has data and model ready.
"""

import argparse
import gc
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from go4align.benchmarks.qm9 import QM9
from go4align.models.mpnn import MPNN

warnings.filterwarnings("ignore", category=DeprecationWarning)

from nnconv_network import graphs_of, published_transform, same_parameters  # noqa: E402
from torch_geometric.data import Batch  # noqa: E402

N_MOLECULES = 2_000
WAYS = ("this library", "torch_geometric")
Step = Callable[[], tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 120), ("dim", 64), ("edge-hidden", 128), ("steps", 10), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--peak-of", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        print(peak_of_step(step_of(options.peak_of, options)))
        return
    steps = {way: step_of(way, options) for way in WAYS}
    times = {way: [step()] for way, step in steps.items()}  # the first one warms up and is dropped
    for _ in range(options.steps):
        for way, step in steps.items():
            times[way].append(step())
    medians = {
        way: [1e3 * statistics.median(column) for column in zip(*seen[1:], strict=True)] for way, seen in times.items()
    }
    peaks = {way: peak_in_child(way) for way in WAYS}
    report(options, medians, peaks)


def report(options: argparse.Namespace, medians: dict[str, list[float]], peaks: dict[str, float]) -> None:
    """A table of both ways and their ratio."""
    print(
        f"QM9, batch {options.batch}, dim {options.dim}, edge hidden {options.edge_hidden}, {options.threads} thread(s)"
    )
    print(f"{'':34}{WAYS[0]:>16}{WAYS[1]:>18}{'ratio':>9}")
    ours, theirs = (medians[way] for way in WAYS)
    rows = [
        ("batch from the data set, ms", ours[0], theirs[0]),
        ("step, ms", ours[1], theirs[1]),
        ("both, ms", sum(ours), sum(theirs)),
        ("peak memory of a step, MiB", peaks[WAYS[0]], peaks[WAYS[1]]),
    ]
    for name, own, published in rows:
        print(f"{name:34}{own:>16.1f}{published:>18.1f}{published / own:>8.1f}x")


def step_of(way: str, options: argparse.Namespace) -> Step:
    """A function that takes one step on the next batch and returns the seconds for the batch and for the step."""
    benchmark = QM9(train_size=N_MOLECULES, network={"dim": options.dim, "edge_hidden": options.edge_hidden})
    torch.manual_seed(0)
    model = benchmark.build_model()
    chosen = torch.Generator().manual_seed(0)
    if way == WAYS[0]:
        return own_step(benchmark, model, options.batch, chosen)
    return published_step(benchmark, model, options.batch, chosen)


def own_step(benchmark: QM9, model: MPNN, size: int, chosen: torch.Generator) -> Step:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> tuple[float, float]:
        start = time.perf_counter()
        batch = next(benchmark.batches("train", size, chosen))
        ready = time.perf_counter()
        optimizer.zero_grad()
        benchmark.losses(model(batch), batch).sum().backward()
        optimizer.step()
        return ready - start, time.perf_counter() - ready

    next(benchmark.batches("train", size, chosen))  # loads the split
    chosen.manual_seed(0)
    return step


def published_step(benchmark: QM9, model: MPNN, size: int, chosen: torch.Generator) -> Step:
    network: nn.Module = same_parameters(model)
    graphs, transform = graphs_of(benchmark, "train"), published_transform()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> tuple[float, float]:
        start = time.perf_counter()
        rows = torch.randperm(len(graphs), generator=chosen)[:size].tolist()
        batch = Batch.from_data_list([transform(graphs[row]) for row in rows])
        ready = time.perf_counter()
        optimizer.zero_grad()
        (network(batch) - batch.y).square().mean(0).sum().backward()
        optimizer.step()
        return ready - start, time.perf_counter() - ready

    return step


def peak_in_child(way: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_of_step(step: Step) -> float:
    """MiB that three steps add at most to this process's resident memory (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    for _ in range(3):
        step()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
