"""What MLflow holds of studies: one tidy table of a study's trials, its results, and the best configurations.

Reads MLflow and nothing else, so it works on any machine with the tracking URI. Of a study that was run again
(`study run --again`), the newest run with a complete search trial counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from go4align.errors import UserError, unknown_name
from study.config import Configuration, FrozenConfiguration, StudyFile
from study.files import parse_json
from study.mlflow_client import NoStoreError, connect, final_metrics
from study.mlflow_queries import child_runs, has_trials, parent_run, ranked_runs
from study.summaries import StudySummary, studies
from study.trial import TrialResult

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

__all__ = ["StudySummary", "best", "exists", "finished", "published", "studies", "study_file", "trials"]

_SEPARATE = ("method", "seed")
"""Params that have a column of their own."""


def trials(name: str, uri: str | None = None) -> pd.DataFrame:
    """A row per trial of a study, in the order they began.

    Columns: `trial`, `stage`, `method`, `origin`, `seed`, `status` ("running", "finished", "stopped" by the scheduler,
    "failed", "interrupted"), `reason`, `score` (lower is better; the best so far while running), `seconds`, `epochs`,
    `params.KEY` for each parameter, `val/...` and `test/...` of the best epoch's model, `run_id`. What a trial does not
    have is NaN or None.

    Raises:
        UserError: no such study, or the store cannot be read.
    """
    import pandas as pd

    client = connect(uri)
    rows = [_row(run) for run in child_runs(client, parent_run(client, name, uri))]
    return pd.DataFrame(rows, columns=list(dict.fromkeys(key for row in [_row(None), *rows] for key in row)))


def best(name: str, uri: str | None = None, method: str | None = None) -> list[FrozenConfiguration]:
    """The best configuration of each method by `score`, best method first; complete search trials only.

    Args:
        name: the study.
        uri: the tracking store, see `study.home.tracking_uri`.
        method: only this method.

    Raises:
        UserError: no such study or method, no complete search trial yet, or the store cannot be read.
    """
    client = connect(uri)
    parent = parent_run(client, name, uri)
    first: dict[str, Run] = {}
    for run in ranked_runs(client, parent):
        first.setdefault(run.data.tags["method"], run)
    known = set(first) | set(_settings(parent).methods)
    if method is not None and method not in known:
        raise unknown_name(f"method of the study '{name}'", method, known)
    chosen = [run for key, run in first.items() if method in (None, key)]
    if not chosen:
        of = f" of '{method}'" if method else ""
        raise UserError(f"The study '{name}' has no complete search trial{of} yet. `study ls` shows how far it is.")
    return [_frozen(run) for run in chosen]


def searched(name: str, uri: str | None = None) -> list[FrozenConfiguration]:
    """The configuration of every complete search trial, best first.

    Raises:
        UserError: no such study, or the store cannot be read.
    """
    client = connect(uri)
    return [_frozen(run) for run in ranked_runs(client, parent_run(client, name, uri))]


def space_hash(name: str, uri: str | None = None) -> str:
    """The hash of the search space that a study searched.

    Raises:
        UserError: no such study, or the store cannot be read.
    """
    return parent_run(connect(uri), name, uri).data.tags["space_hash"]


def study_file(name: str, uri: str | None = None) -> StudyFile:
    """The study file that a study ran with.

    Raises:
        UserError: no such study, the store cannot be read, or this version does not know the file any more.
    """
    return _settings(parent_run(connect(uri), name, uri))


def exists(name: str, uri: str | None = None) -> bool:
    """Whether the store holds a trial of a study of that name; a run of it that never got to a trial does not count.

    Raises:
        UserError: the store cannot be read (one that does not exist yet holds none).
    """
    try:
        return has_trials(connect(uri), name)
    except NoStoreError:
        return False


def published(name: str, uri: str | None = None) -> dict[str, Configuration]:
    """The published defaults that a study's search began with, by method.

    Raises:
        UserError: no such study, or the store cannot be read.
    """
    client = connect(uri)
    runs = child_runs(client, parent_run(client, name, uri), "and tags.stage = 'search' and tags.origin = 'published'")
    return {run.data.tags["method"]: _configuration(run) for run in runs}


def finished(name: str, uri: str | None = None, trial_ids: Collection[str] | None = None) -> dict[str, TrialResult]:
    """The results of complete trials by trial id, as they were when the trials ended; all of them, or `trial_ids`.

    Raises:
        UserError: no such study, or the store cannot be read.
    """
    client = connect(uri)
    runs = child_runs(client, parent_run(client, name, uri), "and attributes.status = 'FINISHED'")
    results = [_result(run) for run in runs]
    return {result.trial: result for result in results if trial_ids is None or result.trial in trial_ids}


def _result(run: Run) -> TrialResult:
    metrics = run.data.metrics
    return TrialResult(
        trial=run.data.tags["trial"],
        status="finished",
        score=metrics.get("score"),
        metrics=final_metrics(metrics),
        epochs=int(metrics["epochs"]),
        seconds=metrics["seconds"],
    )


def _row(run: Run | None) -> dict[str, Any]:
    if run is None:  # the columns that a study without trials has too
        keys = "trial stage method origin seed status reason score seconds epochs"
        return dict.fromkeys([*keys.split(), "run_id"])
    tags, metrics = run.data.tags, run.data.metrics
    row: dict[str, Any] = {key: tags.get(key, "") for key in ("trial", "stage", "method", "origin")}
    row |= {"seed": int(tags["seed"]), "status": tags["status"], "reason": tags.get("reason", "")}
    row |= {key: metrics.get(key, math.nan) for key in ("score", "seconds", "epochs")}
    row |= {f"params.{key}": _value(text) for key, text in run.data.params.items() if key not in _SEPARATE}
    return row | final_metrics(metrics) | {"run_id": run.info.run_id}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _frozen(run: Run) -> FrozenConfiguration:
    configuration = _configuration(run)
    sections = {key: getattr(configuration, key) for key in type(configuration).model_fields}
    tags = run.data.tags
    return FrozenConfiguration(**sections, trial=tags["trial"], seed=int(tags["seed"]), score=run.data.metrics["score"])


def _configuration(run: Run) -> Configuration:
    return parse_json(
        Configuration, run.data.tags.get("configuration", ""), f"The tag `configuration` of {_tagged(run)}"
    )


def _settings(parent: Run) -> StudyFile:
    return parse_json(StudyFile, parent.data.tags.get("study_file", ""), f"The tag `study_file` of {_tagged(parent)}")


def _tagged(run: Run) -> str:
    return f"the MLflow run {run.info.run_id}"
