"""A study on a real MLflow server that keeps its runs in a real PostgreSQL: every epoch is there, once, as trained."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from servers import MlflowServer, Postgres, why_no_postgres
from studies import Sandbox, audit

from study.store.keys import epoch_metrics

N_TRIALS = 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if (reason := why_no_postgres()) is not None:
        pytest.skip(reason)
    postgres = Postgres()
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
def server(tmp_path: Path, postgres: Postgres) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path, postgres.uri)
    yield server
    server.kill()


@pytest.fixture
def sandbox(tmp_path: Path, server: MlflowServer) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path, server.uri)
    yield sandbox
    sandbox.close()


def test_every_epoch_of_a_study_is_in_postgresql_once(
    sandbox: Sandbox, server: MlflowServer, postgres: Postgres
) -> None:
    import psycopg

    sandbox.write(benchmark={"name": "toy"}, methods=["go4align"], budget={"trials": N_TRIALS}, resources={"cpus": 1})
    code = sandbox.finish("run", "drill.yaml")
    if "events are not in MLflow yet" in sandbox.output:  # a server on a busy machine may need longer than the study
        code = sandbox.finish("sync", "drill")
    assert code == 0, sandbox.output
    assert audit(sandbox, N_TRIALS).faults == []

    expected = journal(sandbox)
    assert recorded(MlflowClient(server.uri), expected) == expected
    with psycopg.connect(postgres.uri.replace("+psycopg", "")) as connection:
        [(points,)] = connection.execute("SELECT count(*) FROM metrics WHERE key = 'train/task0/loss'").fetchall()
    assert points == sum(len(curves["train/task0/loss"]) for curves in expected.values())

    saved = [path for path in server.artifacts.rglob("*") if path.is_file()]
    assert any(path.name == "epochs.parquet" for path in saved), saved
    assert not (sandbox.home / "artifacts").exists()


Curves = dict[str, list[tuple[int, float]]]
"""Points (epoch, value) by metric."""


def journal(sandbox: Sandbox) -> dict[str, Curves]:
    """What was trained, by trial, as the study's own journal has it."""
    found: dict[str, Curves] = {}
    starts = {event["trial"]: event["data"] for event in sandbox.events("start")}
    for event in sandbox.events("log"):
        start, record = starts[event["trial"]], event["data"]
        curves = found.setdefault(event["trial"], {})
        for key, value in epoch_metrics(record, start["tasks"], reference=start["reference"]).items():
            curves.setdefault(key, []).append((record["epoch"], value))
    return found


def recorded(client: MlflowClient, expected: dict[str, Curves]) -> dict[str, Curves]:
    """What the server has, read through its HTTP interface."""
    experiment = client.get_experiment_by_name("drill")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return {
        trial: {
            key: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
            for key in expected.get(trial, {})
        }
        for run in runs
        if (trial := run.data.tags.get("trial"))
    }
