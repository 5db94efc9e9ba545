"""What logging costs: one batch per epoch against one call per metric, and how long the driver's loop is held up.

    python bench/tracking.py              # on SQLite, about half a minute
    python bench/tracking.py --server     # and on an `mlflow server` on loopback, which takes a while to start

Everything is measured side by side in one run, so the ratios hold on any machine.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from go4align.training import EpochRecord, Evaluation
from go4align.training.records import StepSummary
from study.spec.study_file import StudyFile
from study.store.client import connect
from study.tracking import JournalTracker, Tracker
from study.trials.records import Trial, TrialResult

METRICS = 121
TASKS = 11
EPOCHS = 100
EPOCH_S = 0.05


def seconds(call: Callable[[int], object], repeats: int, first: int = 0) -> float:
    """The median time of a call."""
    times = []
    for i in range(first, first + repeats):
        start = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def batch_against_calls(uri: str, store: str) -> float:
    """One epoch of 121 metrics, as one batch and as one call each, in turns; the milliseconds of the latter."""
    from mlflow.entities import Metric

    client = connect(uri, create=True)
    experiment = client.create_experiment(
        f"bench-{store}-{time.time_ns()}", "mlflow-artifacts:/" if store == "server" else None
    )
    batched, single = (client.create_run(experiment).info.run_id for _ in range(2))
    names = [f"val/task{i}/mae" for i in range(METRICS)]

    def one_batch(epoch: int) -> None:
        client.log_batch(batched, [Metric(name, epoch + 0.5, epoch, epoch) for name in names], synchronous=True)

    def one_by_one(epoch: int) -> None:
        for name in names:
            client.log_metric(single, name, epoch + 0.5, epoch, epoch, synchronous=True)

    one_batch(0)
    one_by_one(0)
    rounds = [(seconds(one_batch, 6, 1 + 6 * r), seconds(one_by_one, 1, 1 + r)) for r in range(4)]
    batch, calls = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{store:<8} one batch {batch:8.1f} ms   one call per metric {calls:9.1f} ms   {calls / batch:6.1f}x")
    return calls


def epochs() -> list[EpochRecord]:
    """Epochs of 11 tasks with groups, 121 metrics each."""
    row = tuple(0.123456789 * (m + 1) for m in range(TASKS))
    train = StepSummary(row, row, tuple(m % 5 for m in range(TASKS)), row, (row,) * TASKS)
    metrics = {f"task{i % TASKS}/metric{i // TASKS}": 0.123456789 * i for i in range(METRICS - 4 * TASKS - 3)}
    return [EpochRecord(epoch, 1e-3, 0.5, train, Evaluation(row, metrics), 1.0, 1.0) for epoch in range(1, EPOCHS + 1)]


def held_up(tracker: Tracker, study: StudyFile) -> list[float]:
    """Seconds that the caller waits, per epoch, with an epoch every 50 ms (a real one takes longer)."""
    trial = Trial("go4align-0", "search", study.configuration("go4align"), seed=0)
    tracker.open()
    tracker.start(trial)
    tracker.flush()
    times = []
    for record in epochs():
        start = time.perf_counter()
        tracker.log(trial.id, record)
        times.append(time.perf_counter() - start)
        time.sleep(EPOCH_S)
    tracker.finish(trial.id, TrialResult(trial.id, "finished", 1.0, {}, EPOCHS, 3.0))
    tracker.close("finished", timeout_s=120)
    return times


def caller(uri: str, store: str, calls_ms: float) -> None:
    study = StudyFile(
        name=f"bench-{store}",
        benchmark={"name": "toy", "n_tasks": TASKS},
        training={"epochs": EPOCHS, "batch_size": 32, "lr": 1e-3},
        methods=["go4align"],
        search_space="toy",
        budget={"trials": 1},
    )
    trackers = {"nothing": Tracker(), f"MLflow ({store})": JournalTracker(study, uri, notify=print)}
    for name, tracker in trackers.items():
        times = sorted(held_up(tracker, study))
        middle = statistics.median(times)
        worst = times[int(0.99 * len(times))]
        print(
            f"{name:<16} caller waits {middle * 1e6:7.0f} us an epoch   99th percentile {worst * 1e6:7.0f} us   "
            f"1/{calls_ms / middle / 1e3:.0f} of one call per metric"
        )


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """An `mlflow server` on loopback with a SQLite file of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    connect(f"sqlite:///{folder}/server.db", create=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/served"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="store_true", help="measure on an `mlflow server`, too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    os.environ["GO4ALIGN_HOME"] = str(folder)
    try:
        print(f"One epoch, {METRICS} metrics")
        calls_ms = batch_against_calls(f"sqlite:///{folder}/calls.db", "SQLite")
        print(f"\nThe driver's loop, {TASKS} tasks, {METRICS} metrics an epoch")
        caller(f"sqlite:///{folder}/caller.db", "SQLite", calls_ms)
        if arguments.server:
            with server(folder) as uri:
                print("\nOn an mlflow server")
                calls_ms = batch_against_calls(uri, "server")
                caller(uri, "server", calls_ms)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
