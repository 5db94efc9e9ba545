"""A study in processes of its own that may be killed, and an audit of what its records say afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState

from study.search.storage import open_storage, own_trials
from study.store.uri import sqlite_uri

STATES = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def wait_for(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


@dataclass
class Sandbox:
    """A home folder of its own with a study file, and the `study` commands on it.

    Attributes:
        folder: empty; holds everything.
        uri: the tracking store; default a SQLite file in the folder.
        place: of the home in the folder.
        names_store: whether the commands are told the store; if not it is that of the home.
        started: every process that was started.
    """

    folder: Path
    uri: str = ""
    place: str = "home"
    names_store: bool = True
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.names_store:
            self.uri = sqlite_uri(self.home / "mlflow.db")
        self.uri = self.uri or f"sqlite:///{self.folder}/mlflow.db"

    @property
    def home(self) -> Path:
        return self.folder / self.place

    def write(self, **changes: Any) -> Path:
        """The study file `drill.yaml`: one trial at a time, unless `resources` says otherwise."""
        study = {
            "name": "drill",
            "benchmark": {"name": "toy", "train_size": 4096},
            "training": {"epochs": 9, "batch_size": 64, "lr": 5.0e-3},
            "methods": ["ls", "go4align"],
            "search_space": "toy",
            "budget": {"trials": 4},
            "resources": {"cpus": os.cpu_count()},
            "scheduler": {"name": "asha", "grace_epochs": 3, "reduction_factor": 3},
            **changes,
        }
        path = self.folder / "drill.yaml"
        path.write_text(yaml.safe_dump(study))
        return path

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
        store = {"MLFLOW_TRACKING_URI": self.uri} if self.names_store else {}
        return (
            os.environ
            | store
            | {
                "GO4ALIGN_HOME": str(self.home),
                "RAY_AUTH_MODE": "disabled",
                "PYTHONPATH": path,
                "PYTHONWARNINGS": "ignore",
            }
        )

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        """`study ARGUMENTS` in a session of its own, its output in `output.txt`."""
        with (self.folder / "output.txt").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", "from study.cli import main; main()", *arguments],
                env=environment or self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def finish(self, *arguments: str, timeout_s: float = 480.0) -> int:
        """`study ARGUMENTS` to its end; returns the exit code."""
        return self.start(*arguments).wait(timeout_s)

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the journal holds."""
        path = self.home / "studies" / "drill" / "journal.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith(b"}")]
        return [event for event in found if kind in (None, event["kind"])]

    def workers(self, process: "subprocess.Popen[str]") -> list[psutil.Process]:
        """The processes that train this driver's trials."""
        try:
            return [child for child in psutil.Process(process.pid).children(recursive=True) if trains(child)]
        except psutil.NoSuchProcess:
            return []

    def orphans(self) -> list[psutil.Process]:
        """Processes of this sandbox that are left: they have its home in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("GO4ALIGN_HOME") == str(self.home) and process.status() != "zombie":
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def close(self) -> None:
        """Kill what is left."""
        for process in self.orphans():
            process.kill()
        for started in self.started:
            started.wait()


def trains(process: psutil.Process, title: str = "ray::ImplicitFunc") -> bool:
    """Whether a process is a trial's worker; with `.train` at the title's end, one in the middle of an epoch."""
    try:
        return " ".join(process.cmdline()).startswith(title)
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Audit:
    """What the records of a study say; `faults` must be empty.

    Attributes:
        trials: status by trial id, as MLflow has it.
        configurations: of search trials, by id.
        scores: by id.
        faults: every disagreement, duplicate, gap and open end.
    """

    trials: dict[str, str]
    configurations: dict[str, str]
    scores: dict[str, float]
    faults: list[str]

    @property
    def best(self) -> str:
        complete = [trial for trial, status in self.trials.items() if status == "finished" and trial in self.scores]
        return min(complete, key=lambda trial: self.scores[trial])


def audit(sandbox: Sandbox, n_search: int) -> Audit:
    """Compare journal, Optuna and MLflow."""
    client = MlflowClient(sandbox.uri)
    experiment = client.get_experiment_by_name("drill")
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    children = [run for run in runs if "trial" in run.data.tags]
    faults = [f"MLflow: {run.info.run_name} is {run.info.status}" for run in runs if run.info.status == "RUNNING"]
    counts = Counter(run.data.tags["trial"] for run in children)
    faults += [f"MLflow: {n} runs of {trial}" for trial, n in counts.items() if n > 1]
    for run in children:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "lr")]
        epochs = int(run.data.metrics.get("epochs", 0))
        if steps != list(range(1, epochs + 1)):
            faults.append(f"MLflow: {run.info.run_name} ended after {epochs} epochs but has {steps}")
    search = {run.data.tags["trial"]: run for run in children if run.data.tags["stage"] == "search"}
    if len(search) != n_search:
        faults.append(f"MLflow: {len(search)} search trials instead of {n_search}")
    configurations = {trial: run.data.tags["configuration"] for trial, run in search.items()}
    twice = [text for text, n in Counter(configurations.values()).items() if n > 1]
    faults += [f"trained twice: {text}" for text in twice]
    faults += _optuna_faults(sandbox, {trial: run.data.tags["status"] for trial, run in search.items()})
    ended = {event["trial"] for event in sandbox.events("finish") if event["data"]["status"] != "interrupted"}
    faults += [f"journal: {trial} did not end" for trial in set(counts) - ended]
    left = [str(path) for path in (sandbox.home / "studies" / "drill").glob("*/checkpoints/*")]
    faults += [f"left behind: {path}" for path in left]
    return Audit(
        {trial: run.data.tags["status"] for trial, run in search.items()},
        configurations,
        {trial: run.data.metrics["score"] for trial, run in search.items() if "score" in run.data.metrics},
        faults,
    )


def _optuna_faults(sandbox: Sandbox, statuses: dict[str, str]) -> list[str]:
    [path] = (sandbox.home / "studies" / "drill").glob("*/optuna.journal")
    storage = open_storage(path)
    faults, seen = [], set()
    for name in optuna.get_all_study_names(storage):
        for trial in own_trials(optuna.load_study(study_name=name, storage=storage)):
            trial_id = trial.user_attrs.get("trial", f"{name}#{trial.number}")
            seen.add(trial_id)
            if STATES.get(statuses.get(trial_id, "")) != trial.state:
                faults.append(f"Optuna: {trial_id} is {trial.state.name}, MLflow says {statuses.get(trial_id)}")
            if trial.state == TrialState.PRUNED and trial.value != trial.intermediate_values.get(trial.last_step or 0):
                faults.append(f"Optuna: {trial_id} was pruned with {trial.value}, not its last value")
    return faults + [f"Optuna lacks {trial_id}" for trial_id in set(statuses) - seen]


def kill(process: "subprocess.Popen[str]") -> None:
    """kill -9 of one process, not of its children."""
    process.send_signal(signal.SIGKILL)
    process.wait()
