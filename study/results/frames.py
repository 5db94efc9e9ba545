"""Trials and what came of them as frames, from the store's runs or from results that have just come in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from study.store.keys import PEAKS, final_metrics
from study.trials.records import Trial, TrialResult
from study.trials.scores import Metrics

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

TRIALS = {
    **dict.fromkeys(("trial", "run_id", "stage", "method", "origin"), "str"),
    "seed": "int64",
    **dict.fromkeys(("status", "reason"), "str"),
    "score": "float64",
    "epochs": "Int64",
    **dict.fromkeys(("seconds", "epoch_s", *PEAKS), "float64"),
    "started": "datetime64[ns, UTC]",
}
METRICS = {
    **dict.fromkeys(("trial", "method", "origin"), "str"),
    "seed": "int64",
    **dict.fromkeys(("stage", "split", "task", "metric"), "str"),
    **dict.fromkeys(("value", "change"), "float64"),
}
"""The columns and what they hold; `study.results.StoredStudy` says what they mean."""

_SEPARATE = ("method", "seed")
"""Params that have a column of their own."""
_CHANGE = "_change"


@dataclass(frozen=True)
class Outcome:
    """A trial and what has come of it so far: a row of `trials`, with its `metrics` by `split/task/metric`."""

    trial: str
    stage: str
    method: str
    origin: str
    seed: int
    status: str
    reason: str = ""
    score: float | None = None
    epochs: int | None = None
    seconds: float = math.nan
    metrics: Metrics = field(default_factory=dict)
    peak_host_mib: float | None = None
    peak_device_mib: float | None = None
    run_id: str = ""
    artifacts: str = ""
    started: datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def epoch_s(self) -> float:
        """Median seconds of an epoch."""
        return self.metrics.get("epoch_s", math.nan)


def outcome_of_run(run: Run) -> Outcome:
    """From a trial's run in the store."""
    tags, metrics = run.data.tags, run.data.metrics
    return Outcome(
        trial=tags["trial"],
        stage=tags["stage"],
        method=tags.get("method", ""),
        origin=tags.get("origin", ""),
        seed=int(tags["seed"]),
        status=tags["status"],
        reason=tags.get("reason", ""),
        score=metrics.get("score"),
        epochs=int(metrics["epochs"]) if "epochs" in metrics else None,
        seconds=metrics.get("seconds", math.nan),
        metrics=final_metrics(metrics),
        peak_host_mib=metrics.get("peak_host_mib"),
        peak_device_mib=metrics.get("peak_device_mib"),
        run_id=run.info.run_id,
        artifacts=run.info.artifact_uri,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        params={f"params.{key}": _value(text) for key, text in run.data.params.items() if key not in _SEPARATE},
    )


def outcome_of_result(trial: Trial, result: TrialResult) -> Outcome:
    """From a result that the store may not have yet."""
    return Outcome(
        trial=trial.id,
        stage=trial.stage,
        method=trial.method,
        origin=trial.origin,
        seed=trial.seed,
        status=result.status,
        reason=result.reason,
        score=result.score,
        epochs=result.epochs,
        seconds=result.seconds,
        metrics=dict(result.metrics),
        peak_host_mib=result.peak_host_mib,
        peak_device_mib=result.peak_device_mib,
    )


def trials_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A row per trial: the columns of `TRIALS`, then the params of any of them."""
    rows = [{key: getattr(one, key) for key in TRIALS} | dict(one.params) for one in outcomes]
    return frame(rows, TRIALS, more=dict.fromkeys(key for row in rows for key in row if key not in TRIALS))


def metrics_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A row per trial, split, task and metric: the columns of `METRICS`."""
    return frame([row for one in outcomes for row in _metric_rows(one)], METRICS)


def frame(rows: list[dict[str, Any]], columns: Mapping[str, str], *, more: Iterable[str] = ()) -> pd.DataFrame:
    """The columns in order, with their types, also where there are no rows."""
    import pandas as pd

    return pd.DataFrame(rows, columns=[*columns, *more]).astype(dict(columns))


def _metric_rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    common = {key: getattr(outcome, key) for key in ("trial", "method", "origin", "seed", "stage")}
    values = outcome.metrics
    for key, value in values.items():
        split, slash, name = key.partition("/")
        if slash and not (key.endswith(_CHANGE) and key.removesuffix(_CHANGE) in values):
            task, _, metric = name.rpartition("/")
            change = values.get(key + _CHANGE, math.nan)
            yield common | {"split": split, "task": task, "metric": metric, "value": value, "change": change}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
