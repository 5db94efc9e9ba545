"""Cost of methods that compare the tasks' gradients, against a plain sum of losses: `python bench/gradient_methods.py`.

A network of about 1 M shared parameters (four linear layers) and a linear head per task, one thread. All ways of a size
are measured in turn, round by round, and the figure is the least processor time of a step (forward, backward, `.grad`);
read the ratios to `ls`, machines differ. Memory is what a step adds at most to what the process holds before it, in
units of one gradient of the shared parameters, each way in a process of its own (batch 8, so that activations hardly
count, and no biases, which keeps `layerwise` from its special treatment of linear layers, where it holds next to
nothing).

Ways: `stored` keeps the tasks' gradients (default); `layerwise` reduces them layer by layer in one vectorised pass;
`representation` tells the method what the heads read, so that it passes through each head once and needs no weight
gradients for the Gramian where the batch has fewer rows than a layer has inputs.
"""

import argparse
import gc
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from go4align import Weighting, build_weighting
from go4align.weighting._engine.gramian_weighting import GramianWeighting

WIDTHS = (256, 640, 640, 640, 64)
GRAMIAN_METHODS = ("mgda", "pcgrad", "cagrad", "imtl_g", "nash_mtl")
WAYS = ("stored", "layerwise", "representation")
TARGETS = {3: 3.7, 11: 11.0, 40: 36.0}
"""Steps of the plain sum that a step of each Gramian method may take at most."""


class Network(nn.Module):
    """A shared encoder and one linear head per task."""

    def __init__(self, n_tasks: int, *, bias: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(WIDTHS):
            layers += [nn.Linear(before, after, bias=bias), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(WIDTHS[-1], 1) for _ in range(n_tasks))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The representation, and losses [M]."""
        representation = self.encoder(inputs)
        losses = [(head(representation) - 1.0).square().mean() for head in self.heads]
        return representation, torch.stack(losses)


def step_of(method: str, way: str, n_tasks: int, batch: int, *, bias: bool = True) -> Callable[[], None]:
    """A function that takes one step."""
    torch.manual_seed(0)
    network, inputs = Network(n_tasks, bias=bias), torch.randn(batch, WIDTHS[0])
    shared = list(network.encoder.parameters())
    options = {"gramian": "layerwise"} if way == "layerwise" else {}
    weighting: Weighting = build_weighting(method, n_tasks, **options)

    def step() -> None:
        representation, losses = network(inputs)
        hint = representation if way == "representation" else None
        weighting.backward(losses, shared_parameters=shared, representation=hint)
        network.zero_grad()

    return step


def main() -> None:
    """Print a table per size, then memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[3, 11, 40])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--peak-of", nargs=2, metavar=("METHOD", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak_of:
        step_of(*options.peak_of, 2, options.batch, bias=False)()  # loads code and fills caches
        print(peak_of_step(step_of(*options.peak_of, options.tasks[0], options.batch, bias=False)))
        return
    parameters = sum(p.numel() for p in Network(1).encoder.parameters())
    print(f"{parameters:,} shared parameters, batch {options.batch}, one thread")
    for n_tasks in options.tasks:
        report_times(n_tasks, options.batch, options.rounds)
    report_solvers(options.tasks, options.rounds)
    if not options.no_memory:
        report_memory(options.tasks, parameters)


def report_times(n_tasks: int, batch: int, rounds: int) -> None:
    """Print the ratios of one size."""
    steps = {("ls", "stored"): step_of("ls", "stored", n_tasks, batch)}
    for method in GRAMIAN_METHODS:
        for way in WAYS:
            steps[method, way] = step_of(method, way, n_tasks, batch)
    steps["grad_drop", "stored"] = step_of("grad_drop", "stored", n_tasks, batch)
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds + 1):
        for key, step in steps.items():
            start = time.process_time()
            step()
            least[key] = min(least[key], time.process_time() - start)
    base = least["ls", "stored"]
    target = f"; Gramian methods must stay at or below {TARGETS[n_tasks]:g}" if n_tasks in TARGETS else ""
    print(f"\nM = {n_tasks}: ls takes {1e3 * base:.1f} ms a step; others in such steps{target}")
    print(f"{'':12}" + "".join(f"{way:>16}" for way in WAYS))
    for method in (*GRAMIAN_METHODS, "grad_drop"):
        cells = (f"{least[method, way] / base:.1f}x" if (method, way) in least else "" for way in WAYS)
        print(f"{method:12}" + "".join(f"{cell:>16}" for cell in cells))


def report_solvers(sizes: list[int], rounds: int) -> None:
    """Print the processor time from Gramian to weights where lengths span 1e-3 to 1e3 and gradients conflict."""
    print("\nGramian to weights, ms (60 entries, lengths from 1e-3 to 1e3, in conflict)")
    print(f"{'':12}" + "".join(f"{f'M = {n_tasks}':>16}" for n_tasks in sizes))
    for method in GRAMIAN_METHODS:
        cells = (f"{1e3 * least_solve(method, n_tasks, rounds):16.2f}" for n_tasks in sizes)
        print(f"{method:12}" + "".join(cells))


def least_solve(method: str, n_tasks: int, rounds: int) -> float:
    """Seconds for one solve, the mean of ten, the least of `rounds`."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(n_tasks, 60, generator=random, dtype=torch.float64)
    rows += 2 * torch.randn(n_tasks, 1, generator=random).sign() * torch.randn(60, generator=random)
    rows *= 10 ** (6 * torch.rand(n_tasks, 1, generator=random, dtype=torch.float64) - 3)
    gramian, weighting = (rows @ rows.T).numpy(), build_weighting(method, n_tasks)
    assert isinstance(weighting, GramianWeighting)
    least = float("inf")
    for _ in range(rounds + 1):
        start = time.process_time()
        for _ in range(10):
            weighting._solve(gramian)
        least = min(least, time.process_time() - start)
    return least / 10


def report_memory(sizes: list[int], parameters: int) -> None:
    """Print the peak memory of mgda, which is that of every Gramian method."""
    largest = max(before * after for before, after in itertools.pairwise(WIDTHS)) / parameters
    print("\npeak memory of a step in gradients of the shared parameters (mgda; limits: M + 3 stored,")
    print(f"M gradients of the largest layer + 3 = {largest:.2f} M + 3 otherwise)")
    print(f"{'':12}{'ls':>16}" + "".join(f"{way:>16}" for way in WAYS))
    for n_tasks in sizes:
        pairs = [("ls", "stored"), *(("mgda", way) for way in WAYS)]
        cells = [f"{peak_in_child(*pair, n_tasks) / (4 * parameters):16.1f}" for pair in pairs]
        print(f"M = {n_tasks:<8}" + "".join(cells))


def peak_in_child(method: str, way: str, n_tasks: int) -> float:
    command = [sys.executable, __file__, "--peak-of", method, way, "--tasks", str(n_tasks), "--batch", "8"]
    # The allocator gives freed memory back at once, so that what the process holds is what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def peak_of_step(step: Callable[[], None]) -> float:
    """Bytes that a step adds at most to this process's resident memory (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    for _ in range(3):
        step()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
