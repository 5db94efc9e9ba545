"""A QM9 training step (forward, backward, Adam) against torch_geometric's NNConv network as published, side by side.

    python bench/qm9_step.py [--batch 120] [--dim 64] [--edge-hidden 128] [--steps 10] [--train 0 1000] [--threads 1]

Same molecules, same parameters, in one process, step by step in turn; times are medians. It is measured again after
each number of training steps that --train names: hidden units of the edge network begin to bend, which must not cost.
Peak memory is what a step adds to the resident memory of a process of its own that has data and model ready.
"""

import argparse
import copy
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
    parser.add_argument("--train", type=int, nargs="+", default=[0, 1000], help="measure after so many training steps")
    parser.add_argument("--peak-of", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    benchmark = QM9(
        train_size=N_MOLECULES,
        network={"dim": options.dim, "edge_hidden": options.edge_hidden},
        val_size=1,
        test_size=1,
    )
    benchmark.prepare()
    torch.manual_seed(0)
    model = benchmark.build_model()
    if options.peak_of:
        print(peak_of_step(step_of(options.peak_of, benchmark, model, options.batch)))
        return
    print(
        f"QM9, batch {options.batch}, dim {options.dim}, edge hidden {options.edge_hidden}, {options.threads} thread(s)"
    )
    done = 0
    for steps in sorted(options.train):
        train(benchmark, model, options.batch, steps - done)
        done = steps
        report(f"after {steps} training steps", measured(benchmark, model, options))
    peaks = {way: peak_in_child(way) for way in WAYS}
    row("peak memory of a step, MiB", peaks[WAYS[0]], peaks[WAYS[1]])


def train(benchmark: QM9, model: MPNN, size: int, steps: int) -> None:
    """On random batches, with the published learning rate."""
    chosen = torch.Generator().manual_seed(1)
    step = own_step(benchmark, model, size, chosen)
    for _ in range(steps):
        step()


def measured(benchmark: QM9, model: MPNN, options: argparse.Namespace) -> dict[str, list[float]]:
    """Median milliseconds of either way for the batch and for the step, from the same parameters, which stay."""
    steps = {way: step_of(way, benchmark, copy.deepcopy(model), options.batch) for way in WAYS}
    times = {way: [step()] for way, step in steps.items()}  # the first one warms up and is dropped
    for _ in range(options.steps):
        for way, step in steps.items():
            times[way].append(step())
    return {
        way: [1e3 * statistics.median(column) for column in zip(*seen[1:], strict=True)] for way, seen in times.items()
    }


def report(title: str, medians: dict[str, list[float]]) -> None:
    """A table of both ways and their ratio."""
    print(f"{title:34}{WAYS[0]:>16}{WAYS[1]:>18}{'ratio':>9}")
    ours, theirs = (medians[way] for way in WAYS)
    row("batch from the data set, ms", ours[0], theirs[0])
    row("step, ms", ours[1], theirs[1])
    row("both, ms", sum(ours), sum(theirs))


def row(name: str, own: float, published: float) -> None:
    print(f"{name:34}{own:>16.1f}{published:>18.1f}{published / own:>8.1f}x", flush=True)


def step_of(way: str, benchmark: QM9, model: MPNN, size: int) -> Step:
    """A function that takes one step on the next batch and returns the seconds for the batch and for the step."""
    chosen = torch.Generator().manual_seed(0)
    make = own_step if way == WAYS[0] else published_step
    return make(benchmark, model, size, chosen)


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

    state = chosen.get_state()
    next(benchmark.batches("train", size, chosen))  # loads the split
    chosen.set_state(state)
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
