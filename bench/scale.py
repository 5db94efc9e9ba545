"""What a study costs beside training as it grows: the driver's CPU and memory, snapshots, MLflow, idle slots.

Sixteen nodes on this machine (`ray.cluster_utils.Cluster`) say that each has a GPU, so each holds one trial. Trials
sleep most of their time (`pause_s` of the benchmark toy), so it hardly matters that the nodes share this machine's
processors. Every size is a study of its own, run by `study.run` in a process of its own; a short one before it measures
the references that all share, and is not counted. Lines of the table:

- ideal: the sum of the trials' seconds over the number of slots; start: until all slots train for the first time, for
  which sixteen workers import torch; a slot waits: from a trial's end to the next one's start.
- driver CPU and memory: of the process that runs the study, from its first trial; of it MLflow: the thread that writes
  there; MLflow busy: that thread's share of the wall time.
- Optuna: wall time within the driver's loop; both journals opened: Optuna's and the study's, as on a resume; a Tune
  snapshot: what Tune would write every few seconds if studies were resumed from that, with all trials in it.

    python bench/scale.py [--trials 25 50 100 200] [--epochs 8] [--pause-s 2] [--tracking-uri URI]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import psutil
import yaml
from ray.cluster_utils import Cluster
from ray.tune.execution.tune_controller import TuneController

import study
from study.home import study_folder
from study.search.source import OptunaSearch
from study.search.storage import open_storage
from study.store.keys import epoch_metrics
from study.tracking.journal import Journal, read_journal
from study.tracking.mlflow_writer import MlflowWriter

NODES = 16
METHODS = ("ls", "go4align")


class Meter:
    """Seconds and processor seconds that methods took in all, by label, and seconds of the last call."""

    def __init__(self) -> None:
        self.wall_s, self.cpu_s = defaultdict[str, float](float), defaultdict[str, float](float)
        self.last_s = dict[str, float]()
        self._firsts = dict[str, Callable[[], object]]()

    def watch(self, label: str, cls: type, *names: str) -> None:
        for name in names:
            setattr(cls, name, self._timed(label, getattr(cls, name)))

    def first(self, label: str, act: Callable[[], object]) -> None:
        """Do this before the first call."""
        self._firsts[label] = act

    def _timed(self, label: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def timed(*args: Any, **options: Any) -> Any:
            self._firsts.pop(label, lambda: None)()
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return method(*args, **options)
            finally:
                self.last_s[label] = time.perf_counter() - wall
                self.wall_s[label] += self.last_s[label]
                self.cpu_s[label] += time.thread_time() - cpu

        return timed


def drive(file: str, address: str, uri: str) -> dict[str, float]:
    """Run the study in this process; what it took. Processor time and memory count from the first trial's start."""
    meter, process = Meter(), psutil.Process()
    meter.watch("optuna", OptunaSearch, "next", "report", "finish")
    meter.watch("mlflow", MlflowWriter, "apply")
    meter.watch("snapshot", TuneController, "save_to_dir")
    before: list[tuple[float, int]] = []
    meter.first("optuna", lambda: before.append((time.process_time(), process.memory_info().rss)))
    began = time.perf_counter()
    study.run(file, address=address, tracking_uri=uri)
    [(cpu_s, memory)] = before
    taken = {
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu_s,
        "memory": process.memory_info().rss - memory,
        "optuna_s": meter.wall_s["optuna"],
        "mlflow_s": meter.wall_s["mlflow"],
        "mlflow_cpu_s": meter.cpu_s["mlflow"],
        "snapshot_s": meter.last_s["snapshot"],
    }
    return taken | records(yaml.safe_load(Path(file).read_text())["name"])


def records(name: str) -> dict[str, float]:
    """What the study's journals say of its trials, how long they are, and how long a resume takes to read them."""
    folder = study_folder(name)
    events = list(read_journal(folder))
    starts = {event.trial: event for event in events if event.kind == "start"}
    logs = [(event.data, starts[event.trial].data) for event in events if event.kind == "log"]
    ends = [event for event in events if event.kind == "finish"]
    begun, ended = sorted(event.time_ms for event in starts.values()), sorted(event.time_ms for event in ends)
    waits = [max(0, start - end) for end, start in zip(ended, begun[NODES:], strict=False)]
    [optuna] = folder.glob("*/optuna.journal")
    start = time.perf_counter()
    Journal(folder).close()
    open_storage(optuna).get_all_studies()
    return {
        "trials": len(ends),
        "trial_s": sum(event.data["seconds"] for event in ends),
        "filled_s": (begun[min(NODES, len(begun)) - 1] - events[0].time_ms) / 1000,
        "wait_s": sum(waits) / len(waits) / 1000 if waits else 0.0,
        "points": sum(len(epoch_metrics(data, of["tasks"], reference=of["reference"])) for data, of in logs),
        "bytes": (folder / "journal.jsonl").stat().st_size + optuna.stat().st_size,
        "reopen_s": time.perf_counter() - start,
    }


def measure(n_trials: int, name: str, options: argparse.Namespace, folder: Path, address: str) -> dict[str, float]:
    """One study in a process of its own."""
    name = f"{name}-{time.time_ns()}"  # the store may hold those of another day
    file = folder / f"{name}.yaml"
    content = {
        "name": name,
        "benchmark": {"name": "toy", "train_size": 64, "val_size": 64, "pause_s": options.pause_s},
        "training": {"epochs": options.epochs, "batch_size": 64, "lr": 1.0e-2},
        "methods": list(METHODS),
        "search_space": "toy",
        "budget": {"trials": -(-n_trials // len(METHODS)), "max_trials": n_trials},
        "resources": {"cpus": 1, "gpus": 1},
        "scheduler": {"name": "fifo"},
    }
    file.write_text(yaml.safe_dump(content))
    uri = options.tracking_uri or f"sqlite:///{folder}/mlflow.db"
    done = subprocess.run(
        [sys.executable, __file__, "--drive", str(file), address, uri], stdout=subprocess.PIPE, text=True, check=True
    )
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def column(taken: dict[str, float]) -> dict[str, str]:
    """One study's column of the table."""
    n, ideal = taken["trials"], taken["trial_s"] / NODES
    return {
        "trials": f"{n:.0f}",
        "wall time, s": f"{taken['wall_s']:.0f}",
        "ideal wall time, s": f"{ideal:.0f}",
        "wall time / ideal": f"{taken['wall_s'] / ideal:.2f}",
        "start, s": f"{taken['filled_s']:.0f}",
        "a slot waits, ms": f"{1000 * taken['wait_s']:.0f}",
        "driver CPU, ms a trial": f"{1000 * taken['cpu_s'] / n:.0f}",
        "of it the MLflow thread": f"{1000 * taken['mlflow_cpu_s'] / n:.0f}",
        "Optuna, ms a trial": f"{1000 * taken['optuna_s'] / n:.0f}",
        "driver memory, KB a trial": f"{taken['memory'] / n / 1024:.0f}",
        "journals, KB a trial": f"{taken['bytes'] / n / 1024:.1f}",
        "both journals opened, ms": f"{1000 * taken['reopen_s']:.0f}",
        "a Tune snapshot, ms": f"{1000 * taken['snapshot_s']:.0f}",
        "metrics written a second": f"{taken['points'] / taken['wall_s']:.0f}",
        "MLflow thread busy": f"{taken['mlflow_s'] / taken['wall_s']:.0%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pause-s", type=float, default=2.0)
    parser.add_argument("--tracking-uri")
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        print(json.dumps(drive(*options.drive)))
        return
    os.environ["RAY_AUTH_MODE"] = "disabled"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    with tempfile.TemporaryDirectory() as name:
        os.environ["GO4ALIGN_HOME"] = name
        try:
            for _ in range(NODES):
                cluster.add_node(num_cpus=1, num_gpus=1)
            measure(len(METHODS), "warm-up", options, Path(name), cluster.address)
            columns = []
            for n_trials in options.trials:
                print(f"a study of {n_trials} trials", file=sys.stderr)
                columns.append(column(measure(n_trials, f"scale-{n_trials}", options, Path(name), cluster.address)))
        finally:
            cluster.shutdown()
    for index, quantity in enumerate(columns[0]):
        print(f"| {' | '.join([quantity, *(cells[quantity] for cells in columns)])} |")
        if index == 0:
            print("|---" + "|---:" * len(columns) + "|")


if __name__ == "__main__":
    main()
