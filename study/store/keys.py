"""What a study stores in MLflow: parameters, tags and metric keys, as plain values that the journal can hold.

Keys of metrics: `split/task/metric` per epoch; `best/val/task/metric` and `test/task/metric` of what the
selection rule chose: by default the best epoch's model. `peak_host_mib` and `peak_device_mib` are of the whole run.
"""

import getpass
import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import study
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError
from go4align.training import EpochRecord
from go4align.training.watching import DELTA_M
from study.spec.configuration import BenchmarkSection
from study.spec.sections import digest, flat
from study.spec.study_file import StudyFile
from study.spec.yaml import to_yaml
from study.store.uri import without_password
from study.trials.records import Trial
from study.trials.reference import reference_key

_COMMANDS = {"reference": "run", "search": "run", "final": "final", "grouping": "groups --test"}
"""Which command trains a stage's runs."""
_HASH = re.compile(r"-[0-9a-f]{6}(-s\d+)?$")

HEARTBEAT, BACKLOG = "heartbeat", "backlog"
"""Tags of a study that runs: when its driver last gave a sign of life, in ms, and how many events MLflow had not taken
by then."""

BEST = "best/"
"""Prefix of the selected validation metrics: without it they would be one more point of the curves over epochs."""


PEAKS = ("peak_host_mib", "peak_device_mib")
"""The most memory that a trial took: in its epochs' records, its result, its finished run's metrics and the
frames."""


def study_data(study_file: StudyFile, *, space_hash: str, source: str | None = None) -> dict[str, Any]:
    """What the parent run stores: tags, the study file as text, its data set, and how its scores are read."""
    settings = study_file.model_dump(mode="json")
    settings["tracking_uri"] = without_password(study_file.tracking_uri) if study_file.tracking_uri else None
    tags = {
        "stage": "study",
        "study": study_file.name,
        "study_file": json.dumps(settings, separators=(",", ":")),
        "benchmark": study_file.benchmark.name,
        "status": "running",
        "study_hash": digest(study_file),
        "space_hash": space_hash,
        "code_version": code_version(),
        **_made_by(f"study run {study_file.name}"),
    }
    text = without_password(source) if source else to_yaml(settings)
    watched = list(study_file.watched)
    return {
        "name": study_file.name,
        "tags": tags,
        "source": text,
        "data": _data(study_file.benchmark),
        "watched": watched,
    }


def trial_data(trial: Trial, *, study_hash: str, space_hash: str) -> dict[str, Any]:
    """What a trial's run stores at its start: params, tags, task names, and whether Delta m scores its epochs."""
    configuration = trial.configuration
    tags = {
        "trial": trial.id,
        "stage": trial.stage,
        "method": trial.method,
        "origin": trial.origin,
        "seed": str(trial.seed),
        "status": "running",
        "benchmark": configuration.benchmark.name,
        "configuration": json.dumps(configuration.model_dump(mode="json"), separators=(",", ":")),
        "study_hash": study_hash,
        "space_hash": space_hash,
        "code_version": code_version(),
        **_made_by(f"study {_COMMANDS[trial.stage]}"),
    }
    if trial.stage == "reference":
        tags["reference_key"] = reference_key(configuration, trial.seed)
    tasks = _task_names(configuration.benchmark.model_dump_json())
    by_delta_m = bool(trial.reference) and configuration.training.selection_rule.metric == DELTA_M
    return {
        "name": _run_name(trial),
        "params": params(trial),
        "tags": tags,
        "tasks": tasks,
        "reference": by_delta_m,
        "data": _data(configuration.benchmark),
    }


def record_data(record: EpochRecord) -> dict[str, Any]:
    """An epoch's record as dictionaries; `dataclasses.asdict` would copy every number, on the driver's loop."""
    return vars(record) | {"train": vars(record.train), "val": vars(record.val)}


def params(trial: Trial) -> dict[str, str]:
    """All that decides the run, flat, defaults included: `beta`, `lr`, `training.epochs`, `benchmark.train_size`."""
    configuration = trial.configuration
    training = asdict(configuration.training)
    values = {
        "benchmark": configuration.benchmark.name,
        "method": configuration.method.name,
        "seed": trial.seed,
        "lr": training.pop("lr"),
    }
    values |= {f"training.{key}": value for key, value in training.items()}
    values |= {f"benchmark.{key}": value for key, value in configuration.benchmark.settings.items()}
    for key, value in flat(configuration.method.settings).items():
        values[key if key not in values else f"method.{key}"] = value
    return {key: _text(value) for key, value in values.items()}


def epoch_metrics(record: Mapping[str, Any], tasks: Sequence[str], *, reference: bool) -> dict[str, float]:
    """One epoch's metrics, from an `EpochRecord` as a dictionary."""
    train, val = record["train"], record["val"]
    columns = {
        "train/{}/loss": train["losses"],
        "val/{}/loss": val["losses"],
        "train/{}/weight": train["weights"],
        "train/{}/group": train["groups"] or (),
    }
    values = {key.format(task_name(tasks, m)): float(x) for key, row in columns.items() for m, x in enumerate(row)}
    values |= {f"val/{key}": float(value) for key, value in val["metrics"].items()}
    if reference:
        values["val/delta_m"] = float(record["monitored"])
    values |= {"score": float(record["best"]), "lr": float(record["lr"]), "wall_s": float(record["wall_s"])}
    return values


def result_metrics(result: Mapping[str, Any], *, score_logged: bool) -> dict[str, float]:
    """The final metrics, from a `TrialResult` as a dictionary."""
    values = {BEST + key if key.startswith("val/") else key: value for key, value in result.get("metrics", {}).items()}
    values |= {"seconds": float(result.get("seconds", 0)), "epochs": float(result.get("epochs", 0))}
    if result.get("score") is not None and not score_logged:
        values["score"] = float(result["score"])
    return values


def peak_metrics(parts: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The most memory of any of a trial's epochs and its result, as dictionaries; without what none of them measured.

    A trial that was stopped, or whose worker died, has a result that measured nothing, but its epochs have.
    """
    found: dict[str, float] = {}
    for part in parts:
        for key in PEAKS:
            if part.get(key) is not None:
                found[key] = max(float(part[key]), found.get(key, 0.0))
    return found


def final_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """`TrialResult.metrics` again, from a run's: `val/...` of what selection chose, `test/...` and `epoch_s`."""
    kept = (f"{BEST}val/", "test/", "epoch_s")
    return {key.removeprefix(BEST): value for key, value in metrics.items() if key.startswith(kept)}


def task_name(tasks: Sequence[str], m: int) -> str:
    """The name of task m."""
    return tasks[m] if m < len(tasks) else f"task{m}"


@lru_cache
def code_version() -> str:
    """The version and, in a checkout, the commit: `0.1.0+g1a2b3c4d5e6f`, with `-dirty` where files differ from it."""
    try:
        number = version("go4align-study")
    except PackageNotFoundError:
        number = "unknown"
    found = _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return f"{number}+g{found}" if found else number


@lru_cache
def _git(*arguments: str) -> str:
    """What git says of the checkout that this runs from; "" without one."""
    root = Path(study.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _run_name(trial: Trial) -> str:
    """What MLflow shows of a run: the trial's id, but with origin and seed instead of a hash."""
    if trial.stage == "search":
        return trial.id
    what = _HASH.sub("", trial.id)
    return f"{what}-{trial.origin}-seed{trial.seed}" if trial.stage == "final" else f"{what}-seed{trial.seed}"


def _data(section: BenchmarkSection) -> dict[str, str]:
    """The data set of a run: its name and a digest, of the options where those decide what the data are."""
    known = section.data_digest or digest(section.written_out)[:16]
    return {
        "name": section.name,
        "digest": known,
        "source": section.provenance or f"go4align.benchmarks.{section.name}",
    }


def _made_by(command: str) -> dict[str, str]:
    """The tags by which MLflow shows who made a run, and with what."""
    found = {"mlflow.source.name": command, "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    return found | ({"mlflow.source.git.commit": commit} if (commit := _git("rev-parse", "HEAD")) else {})


@lru_cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container nobody may have a name
        return "unknown"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


@lru_cache
def _task_names(section: str) -> list[str]:
    parsed = BenchmarkSection.model_validate_json(section)
    try:
        return list(build_benchmark(parsed.name, **parsed.options).task_names)
    except UserError:  # the trial will fail with this error, and its run must show it: generic names do until then
        return []
