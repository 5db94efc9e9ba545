"""What a study stores in MLflow: parameters, tags and metric keys, as plain values that the journal can hold.

Keys of metrics: `split/task/metric` per epoch; `best/val/task/metric` and `test/task/metric` of the best epoch's model.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from inspect import Parameter
from pathlib import Path
from typing import Any

import study
from go4align.benchmarks.registry import benchmark_options, build_benchmark
from go4align.errors import UserError
from go4align.training import EpochRecord
from go4align.weighting.registry import hyperparameters
from study.config import BenchmarkSection, StudyFile, digest
from study.home import without_password
from study.plain_yaml import to_yaml
from study.references import reference_key
from study.trial import Trial

BEST = "best/"
"""Prefix of the best epoch's validation metrics: without it they would be one more point of the curves over epochs."""


def study_data(study_file: StudyFile, *, space_hash: str, source: str | None = None) -> dict[str, Any]:
    """What the parent run stores: tags, and the study file as text."""
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
    }
    text = without_password(source) if source else to_yaml(settings)
    return {"name": study_file.name, "tags": tags, "source": text}


def trial_data(trial: Trial, *, study_hash: str, space_hash: str) -> dict[str, Any]:
    """What a trial's run stores at its start: params, tags, task names, and whether there is a reference."""
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
    }
    if trial.stage == "reference":
        tags["reference_key"] = reference_key(configuration, trial.seed)
    tasks = _task_names(configuration.benchmark.model_dump_json())
    return {"params": params(trial), "tags": tags, "tasks": tasks, "reference": bool(trial.reference)}


def record_data(record: EpochRecord) -> dict[str, Any]:
    """An epoch's record as dictionaries; `dataclasses.asdict` would copy every number, on the driver's loop."""
    return vars(record) | {"train": vars(record.train), "val": vars(record.val)}


def params(trial: Trial) -> dict[str, str]:
    """All that decides the run, flat, defaults included: `beta`, `lr`, `training.epochs`, `benchmark.train_size`."""
    configuration = trial.configuration
    benchmark, method = configuration.benchmark, configuration.method
    training = asdict(configuration.training)
    options = benchmark_options(benchmark.name) | benchmark.options
    values = {"benchmark": benchmark.name, "method": method.name, "seed": trial.seed, "lr": training.pop("lr")}
    values |= {f"training.{key}": value for key, value in training.items()}
    values |= {f"benchmark.{key}": value for key, value in options.items()}
    for key, value in (dict(hyperparameters(method.name)) | method.options).items():
        values[key if key not in values else f"method.{key}"] = value
    return {key: _text(value) for key, value in values.items() if value is not Parameter.empty}


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
    return values | {"score": float(record["best"]), "lr": float(record["lr"]), "wall_s": float(record["wall_s"])}


def result_metrics(result: Mapping[str, Any], *, score_logged: bool) -> dict[str, float]:
    """The final metrics, from a `TrialResult` as a dictionary."""
    values = {BEST + key if key.startswith("val/") else key: value for key, value in result.get("metrics", {}).items()}
    values |= {"seconds": float(result.get("seconds", 0)), "epochs": float(result.get("epochs", 0))}
    if result.get("score") is not None and not score_logged:
        values["score"] = float(result["score"])
    return values


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
    root = Path(study.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return number
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return number
    return f"{number}+g{found.stdout.strip()}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


@lru_cache
def _task_names(section: str) -> list[str]:
    parsed = BenchmarkSection.model_validate_json(section)
    try:
        return list(build_benchmark(parsed.name, **parsed.options).task_names)
    except UserError:  # the trial will fail with this error, and its run must show it: generic names do until then
        return []
