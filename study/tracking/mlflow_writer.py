"""Tells MLflow what the journal holds. Telling an event twice changes nothing, so any of it can be repeated."""

import json
import tempfile
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from study.store.epochs import epoch_table
from study.store.keys import BACKLOG, HEARTBEAT, epoch_metrics, peak_metrics, result_metrics
from study.store.networks import every_network, store_network
from study.tracking.events import Event
from study.tracking.journal import Journal
from study.tracking.mlflow_runs import RunFinder
from study.tracking.summary import STUDY, describe
from study.trials.networks import network_file

if TYPE_CHECKING:
    from mlflow.entities import Metric

_RUN_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "interrupted": "KILLED", "failed": "FAILED"}
"""Only complete runs are FINISHED, so that `attributes.status = 'FINISHED'` finds them and nothing else."""

_NOTE = "mlflow.note.content"

_METRICS_PER_CALL = 1000  # MLflow's limit


class MlflowWriter:
    """Applies events to a tracking store.

    Times are the events' own: what comes late looks as if it had come in time, and a metric that comes twice is the
    same point, which MLflow stores once.

    Args:
        uri: the tracking store.
        journal: where the events are from.
    """

    def __init__(self, uri: str, journal: Journal) -> None:
        self._journal = journal
        self._runs = RunFinder(uri, journal)
        self._study_run = ""

    def apply(self, events: Sequence[Event]) -> None:
        """Tell MLflow one event, or several epochs of one trial in one call.

        Raises:
            Exception: anything that MLflow, its store or the network may raise. Call `forget`, then repeat.
        """
        handlers = {
            "open": self._open,
            "start": self._start,
            "network": self._network,
            "finish": self._finish,
            "artifact": self._artifact,
            "close": self._close,
        }
        self._study_run = events[0].study_run
        if events[0].kind == "log":
            self._epochs(events)
            return
        [event] = events
        handlers[event.kind](event)

    def forget(self) -> None:
        """After an error it is unknown what the store has taken: look everything up again."""
        self._runs.forget()

    def check(self) -> None:
        """Raise an exception unless the store can be written to (with its disk full it can still be read)."""
        client = self._runs.client
        with suppress(LookupError):  # a gap in the journal is not the store's fault
            client.set_tag(self._runs.parent(self._study_run), "written", str(_now_ms()))

    def beat(self, backlog: int) -> None:
        """Tell that the driver lives, and how many events it has not told yet; nothing before the first event."""
        if self._study_run:
            tags = {HEARTBEAT: str(_now_ms()), BACKLOG: str(backlog)}
            self._batch(self._runs.parent(self._study_run), tags=tags)

    def _open(self, event: Event) -> None:
        run = self._runs.parent(event.study_run)
        client = self._runs.client
        tags = event.data["tags"]
        first = self._journal.runs[event.study_run].opened
        again = event.data.get("resumed") or (first and first.seq < event.seq)
        if again and not event.data.get("changed"):  # what the run began with stays
            known = client.get_run(run).data.tags
            tags = {key: value for key, value in tags.items() if key == "status" or not known.get(key)}
            upload = all(file.path != "study.yaml" for file in client.list_artifacts(run))
        else:
            upload = True
        self._batch(run, tags=tags | self._note(event.study_run))
        self._data(run, event)
        if upload:
            self._upload(run, "study.yaml", event.data["source"].encode())
        client.update_run(run, status="RUNNING")

    def _start(self, event: Event) -> None:
        run = self._runs.child(event.study_run, event.trial)
        first = self._journal.runs[event.study_run].starts[event.trial]
        self._batch(run, params=first.data["params"], tags={"status": "running", "reason": ""})
        self._data(run, first)
        self._runs.client.update_run(run, status="RUNNING")

    def _epochs(self, events: Sequence[Event]) -> None:
        of = events[0].study_run
        trial = events[0].trial
        first = self._journal.runs[of].starts[trial].data
        points: list[Metric] = []
        for event in events:
            metrics = epoch_metrics(event.data, first["tasks"], reference=first["reference"])
            points += _points(metrics, event.data["epoch"], event)
        self._batch(self._runs.child(of, trial), points=points)

    def _network(self, event: Event) -> None:
        """The file goes once the store has it; of one that is gone, another store was told."""
        file = network_file(self._journal.folder / event.study_run, event.trial)
        if not file.exists():
            return
        start = self._journal.runs[event.study_run].starts[event.trial].data
        about = ("trial", "method", "origin", "seed", "benchmark")
        tags = {key: start["tags"][key] for key in about} | {"mib": f"{event.data['mib']:.2f}"}
        run = self._runs.child(event.study_run, event.trial)
        experiment = self._runs.experiment(event.study_run)
        described = {"tags": tags, "params": start["params"]}
        store_network(self._runs.client, experiment, run, start["name"], file, described)
        file.unlink(missing_ok=True)

    def _finish(self, event: Event) -> None:
        run = self._runs.child(event.study_run, event.trial)
        result = event.data
        if result["status"] != "interrupted":  # what was interrupted goes on later and then has results
            records = self._journal.records(event.study_run, event.trial)
            logged = bool(records) and records[-1]["best"] == result["score"]
            metrics = result_metrics(result, score_logged=logged) | peak_metrics([*records, result])
            links = self._links(run, event) if result.get("network_mib") is not None else {}
            tested = {key: value for key, value in metrics.items() if key.startswith("test/")}
            others = {key: value for key, value in metrics.items() if key not in tested}
            step = result["epochs"]
            self._batch(run, points=[*_points(others, step, event), *_points(tested, step, event, **links)])
            tasks = self._journal.runs[event.study_run].starts[event.trial].data["tasks"]
            self._upload(run, "epochs.parquet", epoch_table(records, tasks))
        if result.get("details"):
            self._upload(run, "failure.txt", result["details"].encode())
        if result.get("warnings"):
            self._upload(run, "warnings.txt", "\n".join(result["warnings"]).encode())
        if of_study := {**result.get("cost", {}), **result.get("best", {})}:
            self._batch(self._runs.parent(event.study_run), points=_points(of_study, event.seq, event))
        self._batch(run, tags={"status": result["status"], "reason": result.get("reason", "")[:1000]})
        self._end(run, event)

    def _artifact(self, event: Event) -> None:
        data = event.data
        content = b64decode(data["base64"]) if "base64" in data else data["text"].encode()
        self._upload(self._runs.parent(event.study_run), data["name"], content)

    def _close(self, event: Event) -> None:
        run = self._runs.parent(event.study_run)
        cost: dict[str, float] = {
            key: event.data[key] for key in ("wall_s", "trial_s", "gpu_hours") if key in event.data
        }
        tags = {key: str(value) for key, value in event.data.items() if key in {"status", "search_status"}}
        self._batch(run, points=_points(cost, event.seq, event), tags=tags | self._note(event.study_run))
        self._end(run, event)

    def _note(self, study_run: str) -> dict[str, str]:
        """The description of the study's run, but for one that somebody has edited, or of a run that began on another
        machine, whose journal knows more."""
        run = self._journal.runs[study_run]
        begun_here = run.opened is not None and not run.opened.data.get("resumed")
        known = self._runs.client.get_run(self._runs.parent(study_run)).data.tags.get(_NOTE, "")
        ours = not known or known.startswith(STUDY)
        return {_NOTE: describe(run)} if begun_here and ours else {}

    def _links(self, run: str, event: Event) -> dict[str, str]:
        """What a metric of a kept network hangs on: the network and the data set."""
        kept = every_network(self._runs.client, self._runs.experiment(event.study_run), run)
        if not kept:
            return {}
        data = self._journal.runs[event.study_run].starts[event.trial].data["data"]
        return {"model_id": kept[0].model_id, "dataset_name": data["name"], "dataset_digest": data["digest"]}

    def _data(self, run: str, event: Event) -> None:
        """The data set is an input of the run; journals of earlier versions do not name it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if data := event.data.get("data"):
            source = json.dumps({"tags": {"mlflow.source.name": data["source"], "mlflow.source.type": "LOCAL"}})
            used = DatasetInput(
                Dataset(data["name"], data["digest"], "code", source), [InputTag("mlflow.data.context", "training")]
            )
            self._runs.client.log_inputs(run, [used])

    def _end(self, run: str, event: Event) -> None:
        self._runs.client.set_terminated(run, _RUN_STATUS[event.data["status"]], end_time=event.time_ms)

    def _batch(
        self,
        run: str,
        *,
        points: "Sequence[Metric]" = (),
        params: Mapping[str, str] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        from mlflow.entities import Param, RunTag

        named = [Param(key, value) for key, value in params.items()]
        labels = [RunTag(key, value) for key, value in tags.items()]
        for start in range(0, max(1, len(points)), _METRICS_PER_CALL):
            chunk = points[start : start + _METRICS_PER_CALL]
            self._runs.client.log_batch(run, chunk, named, labels, synchronous=True)
            named = []
            labels = []

    def _upload(self, run: str, name: str, content: bytes) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"an artifact's name must be a relative path, found '{name}'")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path.name
            file.write_bytes(content)
            self._runs.client.log_artifact(run, str(file), None if len(path.parts) == 1 else str(path.parent))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _points(metrics: Mapping[str, float], step: int, event: Event, **links: str) -> "list[Metric]":
    from mlflow.entities import Metric

    return [Metric(key, value, event.time_ms, step, **links) for key, value in metrics.items()]
