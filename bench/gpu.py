"""What a step and an epoch of every method cost on this machine's accelerator, beside LS; needs torch and numpy only.

    python bench/gpu.py [--device cuda] [--share 0.1] [--reduced] [--folder results] [--again]

First the library's tests run on the device (where pytest is installed), then every registered method trains on
generated molecules of QM9's true sizes with the published network. Each finished cell is a JSON file in the folder: a
run that was broken off goes on where it stood. A table ends the run; docs/gpu.md says what its columns mean. On a CPU
the form is reduced, which checks this program and measures nothing of interest.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # a bare checkout will do

import torch  # noqa: E402
from generated_images import GeneratedCelebA, GeneratedCityScapes, GeneratedNYUv2  # noqa: E402
from generated_qm9 import GeneratedQM9  # noqa: E402

from go4align import available_methods, build_weighting  # noqa: E402
from go4align.benchmarks.base import Batch, Benchmark  # noqa: E402
from go4align.errors import UserError, one_line  # noqa: E402
from go4align.home import home_folder  # noqa: E402
from go4align.kernels import has_triton  # noqa: E402
from go4align.training import Trainer, TrainingOptions, train_step  # noqa: E402

OLDEST_TORCH = (2, 11)
WARM_UP = 3
"""Steps that are not counted: kernels are chosen and memory is reserved in them."""
SUITE_NEEDS = (
    "pytest", "pytest_timeout", "hypothesis", "psutil", "kmeans1d", "torchjd", "kmeans_pytorch", "cvxpy", "qm9pack",
    "rdkit", "sklearn", "torch_geometric",
)  # fmt: skip
"""Modules without which the library's tests cannot run."""


@dataclass(frozen=True)
class Form:
    """How much of a benchmark is measured: its options, samples a step, and steps that are counted."""

    options: dict[str, Any]
    batch_size: int
    steps: int

    def of(self, share: float) -> "Form":
        """With that share of the samples in every split; steps are those of the whole."""
        sizes = {name: max(1, round(share * size)) for name, size in self.options.items() if name.endswith("_size")}
        return replace(self, options={**self.options, **sizes})


@dataclass(frozen=True)
class Subject:
    """A benchmark to measure, in full and reduced."""

    name: str
    build: Callable[..., Benchmark]
    full: Form
    reduced: Form


def sizes(train: int, val: int) -> dict[str, Any]:
    return {"train_size": train, "val_size": val, "test_size": 1}


SUBJECTS = (
    Subject(
        "qm9",
        GeneratedQM9,
        full=Form({"train_size": 110_000, "val_size": 10_000, "test_size": 10_000}, batch_size=120, steps=60),
        reduced=Form(
            {"train_size": 16, "val_size": 8, "test_size": 8, "network": {"dim": 8, "edge_hidden": 8}}, 8, steps=2
        ),
    ),
    Subject(
        "nyuv2",
        GeneratedNYUv2,
        full=Form(sizes(795, 654) | {"height": 288, "width": 384}, batch_size=2, steps=60),
        reduced=Form(sizes(2, 2) | {"height": 32, "width": 32, "network_width": 0.05}, 2, steps=2),
    ),
    Subject(
        "cityscapes",
        GeneratedCityScapes,
        full=Form(sizes(2975, 500) | {"height": 128, "width": 256}, batch_size=8, steps=60),
        reduced=Form(sizes(2, 2) | {"height": 32, "width": 32, "network_width": 0.05}, 2, steps=2),
    ),
    Subject(
        "celeba",
        GeneratedCelebA,
        full=Form(sizes(162_770, 19_867) | {"height": 64, "width": 64}, batch_size=256, steps=60),
        reduced=Form(sizes(8, 8) | {"height": 16, "width": 16, "network_width": 0.05}, 8, steps=2),
    ),
)
"""A further benchmark is one entry here."""


class Cells:
    """Results by name, a JSON file each; one that was measured in another setting counts as missing.

    Args:
        folder: of the files; made when the first result is kept.
        setting: what every result depends on.
        again: whether kept results are measured anew.
    """

    def __init__(self, folder: Path, setting: dict[str, Any], *, again: bool) -> None:
        self.folder, self.setting, self.again = folder, setting, again

    def get(self, name: str, measure: Callable[[], dict[str, Any]], form: Form | None = None) -> dict[str, Any]:
        """The result of that name, measured where there is none; one with a reason under `unmeasured` is not kept."""
        path = self.folder / f"{name}.json"
        wanted = {**self.setting, "form": repr(form)}
        kept = json.loads(path.read_text()) if path.exists() and not self.again else {}
        if kept.get("setting") == wanted:
            return dict(kept["result"])
        print(f"{name} ...", file=sys.stderr, flush=True)
        result = measure()
        if "unmeasured" not in result:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".tmp")
            beside.write_text(json.dumps({"setting": wanted, "result": result}, indent=1))
            beside.replace(path)
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    names = [subject.name for subject in SUBJECTS]
    parser.add_argument("--benchmarks", nargs="+", choices=names, default=names, help="(default: all)")
    methods = available_methods()
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods, help="(default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="of the samples that an epoch takes (default 1: all)")
    parser.add_argument("--reduced", action="store_true", help="the small form, always taken on a CPU")
    parser.add_argument("--folder", type=Path, default=None, help="of the cells (default $GO4ALIGN_HOME/bench/gpu)")
    parser.add_argument("--again", action="store_true", help="measure finished cells anew")
    options = parser.parse_args()
    if not 0 < options.share <= 1:
        parser.error(f"--share must lie above 0 and at most at 1, found {options.share}.")
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST_TORCH:
        parser.error(f"torch {'.'.join(map(str, OLDEST_TORCH))} or newer is required, found {torch.__version__}.")
    device = checked_device(parser, options.device)
    reduced = options.reduced or device.type == "cpu"
    setting = {"device": name_of(device), "torch": torch.__version__, "commit": commit(), "reduced": reduced}
    setting["kernels"] = has_triton(device)
    cells = Cells(options.folder or home_folder() / "bench" / "gpu", setting, again=options.again)
    suite = cells.get("suite", lambda: run_suite(device, reduced))
    print(f"{setting['device']}, torch {setting['torch']}, commit {setting['commit']}{', reduced' * reduced}")
    print(f"GO4Align's step: {'by kernels' if setting['kernels'] else 'by operations'}")
    print(f"Library tests on the device: {suite.get('summary') or 'not run, ' + suite['unmeasured']}")
    for subject in (subject for subject in SUBJECTS if subject.name in options.benchmarks):
        form = subject.reduced if reduced else subject.full.of(options.share)
        print("", *table(subject, form, options.methods, cells, device), sep="\n")


def checked_device(parser: argparse.ArgumentParser, name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        parser.error(one_line(f"--device must name a device that torch can use here, found '{name}': {error}"))
    return device


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"


def commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"


def run_suite(device: torch.device, reduced: bool) -> dict[str, Any]:
    """The library's tests (reduced: one file of them) on the device; kept only where all passed."""
    missing = [name for name in SUITE_NEEDS if find_spec(name) is None]
    if missing:
        return {"unmeasured": f"missing: {', '.join(missing)}"}
    tests = "tests/go4align" + "/weighting/test_risk_guided.py" * reduced
    side_by_side = ["-n", "8", "-p", "no:benchmark"] if find_spec("xdist") and not reduced else []
    command = [sys.executable, "-m", "pytest", tests, "-q", "-p", "no:cacheprovider", *side_by_side]
    environment = os.environ | {"GO4ALIGN_TEST_DEVICE": str(device)}
    run = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    sys.stderr.write(run.stdout * bool(run.returncode) + run.stderr)
    summary = (run.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    if run.returncode:
        return {
            "summary": f"failed, {summary} (exit code {run.returncode})",
            "unmeasured": "its tests did not all pass",
        }
    return {"summary": summary}


def table(subject: Subject, form: Form, methods: Sequence[str], cells: Cells, device: torch.device) -> Iterator[str]:
    """Markdown: a row per method, then a line for each that could not be measured."""
    benchmark = subject.build(**form.options)
    yield f"{subject.name}: batch {form.batch_size}, {form.steps} steps after {WARM_UP}, {form.options}"
    yield ""
    yield "| method | step, ms | x LS | epoch, s | x LS | peak of a step, MiB |"
    yield "|---|---|---|---|---|---|"
    left_out = []
    for method in methods:
        cell = cells.get(f"{subject.name}-{method}", lambda m=method: measured(benchmark, form, m, device), form)
        if "unmeasured" in cell:
            left_out.append(f"{method} is left out: {cell['unmeasured']}")
        else:
            yield row(method, cell)
    yield from ["", *left_out] if left_out else []


def row(method: str, cell: dict[str, Any]) -> str:
    peak = "-" if cell["peak_mib"] is None else f"{cell['peak_mib']:.0f}"
    step = f"{1e3 * cell['step_s']:.2f} | {cell['step_ratio']:.2f}"
    return f"| {method} | {step} | {cell['epoch_s']:.2f} | {cell['epoch_ratio']:.2f} | {peak} |"


def measured(benchmark: Benchmark, form: Form, method: str, device: torch.device) -> dict[str, Any]:
    """Seconds and peak memory of one method, and ratios to LS, which takes turns with it on the same batches."""
    try:
        ls, own = (trainer(benchmark, form, name, device) for name in ("ls", method))
        return {**measured_steps(ls, own, form), **measured_epochs(ls, own)}
    except (ImportError, RuntimeError, UserError) as error:  # a missing package, memory, an operation not there yet
        return {"unmeasured": one_line(f"{type(error).__name__}: {error}")}


def trainer(benchmark: Benchmark, form: Form, method: str, device: torch.device) -> Trainer:
    return Trainer(
        benchmark,
        lambda: build_weighting(method, benchmark.n_tasks, task_names=benchmark.task_names),
        TrainingOptions(epochs=1, batch_size=form.batch_size, lr=1e-3),
        seed=0,
        monitor=lambda evaluation: sum(evaluation.losses),
        device=device,
    )


def measured_steps(ls: Trainer, own: Trainer, form: Form) -> dict[str, Any]:
    seconds: dict[Trainer, list[float]] = {ls: [], own: []}
    for batch in islice(endless(own, form.batch_size), WARM_UP + form.steps):
        for lane, times in seconds.items():
            times.append(timed(lambda lane=lane, batch=batch: step(lane, batch), own.device))
    plain, times = (found[WARM_UP:] for found in seconds.values())
    ratios = [mine / theirs for mine, theirs in zip(times, plain, strict=True)]
    peak = peak_mib(own, batch)
    return {"step_s": statistics.median(times), "step_ratio": statistics.median(ratios), "peak_mib": peak}


def measured_epochs(ls: Trainer, own: Trainer) -> dict[str, Any]:
    """Training and validation, batches and transfers included."""
    plain, mine = (timed(lane.run_epoch, lane.device) for lane in (ls, own))
    return {"epoch_s": mine, "epoch_ratio": mine / plain}


def endless(lane: Trainer, batch_size: int) -> Iterator[Batch]:
    """Training batches on the device, pass after pass."""
    chosen = torch.Generator().manual_seed(0)
    while True:
        for batch in lane.benchmark.batches("train", batch_size, chosen):
            yield batch.to(lane.device)


def step(lane: Trainer, batch: Batch) -> None:
    shared = lane.model.shared_parameters()
    train_step(lane.benchmark, lane.model, batch, lane.weighting, lane.optimizer, shared)


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has finished."""
    wait_for(device)
    start = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - start


def peak_mib(lane: Trainer, batch: Batch) -> float | None:
    """MiB that a step allocates at most beside parameters, optimiser and batches; None on a CPU."""
    if lane.device.type == "cpu":
        return None
    lane.optimizer.zero_grad()
    wait_for(lane.device)
    torch.accelerator.reset_peak_memory_stats(lane.device)
    before = torch.accelerator.memory_allocated(lane.device)
    step(lane, batch)
    wait_for(lane.device)
    return (torch.accelerator.max_memory_allocated(lane.device) - before) / 2**20


def wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


if __name__ == "__main__":
    main()
