import errno
import math
import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from go4align.errors import UserError
from study import results
from study.config import FrozenConfiguration, StudyFile
from study.mlflow_client import NoStoreError, connect
from study.mlflow_tracker import MlflowTracker
from study.references import find_reference, reference_key
from study.trial import Trial, TrialResult


def study_of(name: str, **training: Any) -> StudyFile:
    return StudyFile(
        name=name,
        benchmark={"name": "toy", "n_tasks": 2},
        training={"epochs": 3, "batch_size": 32, "lr": 0.003} | training,
        methods=["ls", "go4align"],
        search_space="toy",
        budget={"trials": 2},
        resources={"cpus": 1, "gpus": 0.5},
    )


def trial_of(trial_id: str, **changes: Any) -> Trial:
    method = trial_id.partition("-")[0]
    chosen = {"lr": 1 / 3} | ({"n_groups": 2, "space": "log"} if method == "go4align" else {})
    return replace(Trial(trial_id, "search", study_of("a").configuration(method, chosen), seed=0), **changes)


def result_of(trial: str, score: float | None, **changes: Any) -> TrialResult:
    metrics = {"val/task0/mae": 1 / 3, "test/task0/mae": 0.1} if score is not None else {}
    return replace(TrialResult(trial, "finished", score, metrics, 3, 3600.0), **changes)


def reference_trial(task: int, **training: Any) -> Trial:
    return Trial(f"stl-{task}", "reference", study_of("a", **training).configuration("stl", {"task": task}), seed=1)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}", create=True)
    return path


@pytest.fixture(scope="module")
def uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with study "alpha" (run twice) and study "beta" (nothing finished)."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_store, home / "mlflow.db")
    uri = f"sqlite:///{home}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        tracker = MlflowTracker(uri)
        tracker.open(study_of("alpha"))
        end(tracker, trial_of("go4align-0"), result_of("go4align-0", -99.0))
        tracker.close("finished")
        tracker.open(study_of("alpha"))
        end(tracker, reference_trial(0), result_of("stl-0", 0.2))
        end(tracker, trial_of("ls-0", origin="published"), result_of("ls-0", 5.0))
        end(tracker, trial_of("ls-1"), result_of("ls-1", 4.0))
        end(tracker, trial_of("ls-2"), result_of("ls-2", -50.0, status="stopped"))
        end(tracker, trial_of("ls-3"), result_of("ls-3", None, status="failed", reason="epoch 1: loss is nan"))
        end(tracker, trial_of("ls-4"), result_of("ls-4", math.nan))
        end(tracker, trial_of("go4align-0"), result_of("go4align-0", -2.0))
        end(tracker, trial_of("go4align-9", stage="final", seed=101), result_of("go4align-9", -70.0))
        tracker.close("finished")
        tracker.open(study_of("beta"))
        tracker.start(trial_of("ls-0"))
        tracker.close("interrupted")
    return uri


def end(tracker: MlflowTracker, trial: Trial, result: TrialResult) -> None:
    tracker.start(trial)
    tracker.finish(trial.id, result)


def test_best_is_the_best_complete_search_trial_of_each_method_in_the_newest_run(uri: str) -> None:
    found = results.best("alpha", uri)
    assert [(one.trial, one.score) for one in found] == [("go4align-0", -2.0), ("ls-1", 4.0)]
    sections = {"benchmark", "method", "training"}
    assert found[0].model_dump(include=sections) == trial_of("go4align-0").configuration.model_dump(include=sections)
    assert all(isinstance(one, FrozenConfiguration) for one in found)
    assert [one.trial for one in results.best("alpha", uri, method="ls")] == ["ls-1"]


@pytest.fixture
def shared(uri: str, tmp_path: Path) -> str:
    """A copy of the store, for others to write to."""
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "shared.db")
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.mark.parametrize(
    "tags", [{}, {"study": "alpha"}, {"study": "../..", "study_run": "abc"}, {"study": "alpha", "study_run": "../../x"}]
)
def test_a_run_that_others_tagged_alike_is_no_study(shared: str, tags: dict[str, str]) -> None:
    client = connect(shared)
    experiment = client.get_experiment_by_name("alpha")
    assert experiment is not None
    for known in (experiment.experiment_id, client.create_experiment("\x1b[2Jother")):
        parent = client.create_run(known, tags={"stage": "study", **tags})
        client.create_run(known, tags={"mlflow.parentRunId": parent.info.run_id, "stage": "search"})
    assert [summary.name for summary in results.studies(shared)] == ["beta", "alpha"]
    assert len(results.best("alpha", shared)) == 2


def test_a_run_of_others_below_a_study_is_no_trial(shared: str) -> None:
    client = connect(shared)
    run = client.get_run(str(results.trials("alpha", shared).run_id[0]))
    parent = run.data.tags["mlflow.parentRunId"]
    created = client.create_run(run.info.experiment_id, tags={"mlflow.parentRunId": parent, "stage": "search"})
    client.set_terminated(created.info.run_id)
    assert len(results.trials("alpha", shared)) == 8
    assert results.studies(shared)[1].trials["search"] == {"finished": 4, "stopped": 1, "failed": 1}


@pytest.mark.parametrize("text", ["", "{", "5", '{"name": "alpha", "benchmark": {"name": "toy"}, "gone": 1}'])
def test_tags_that_cannot_be_read_are_one_line(shared: str, text: str) -> None:
    client = connect(shared)
    run = client.get_run(str(results.trials("alpha", shared).set_index("trial").run_id["ls-1"]))
    client.set_tag(run.info.run_id, "configuration", text)
    with pytest.raises(
        UserError, match=r"The tag `configuration` of the MLflow run \w+ cannot be read: .* version"
    ) as one:
        results.best("alpha", shared)
    client.set_tag(run.data.tags["mlflow.parentRunId"], "study_file", text)
    for read in (results.best, results.study_file):
        with pytest.raises(UserError, match=r"The tag `study_file` of the MLflow run \w+ cannot be read: .*") as other:
            read("alpha", shared)
    assert "\n" not in str(one.value) + str(other.value)
    assert math.isnan(results.studies(shared)[1].gpu_hours)


def test_a_tidy_row_per_trial(uri: str) -> None:
    table = results.trials("alpha", uri).set_index("trial")
    ids = ["stl-0", "ls-0", "ls-1", "ls-2", "ls-3", "ls-4", "go4align-0", "go4align-9"]
    assert sorted(table.index) == sorted(ids)
    row = table.loc["go4align-0"]
    assert (row["stage"], row["method"], row["origin"], row["seed"]) == ("search", "go4align", "proposed", 0)
    assert (row["status"], row["score"], row["seconds"], row["epochs"]) == ("finished", -2.0, 3600.0, 3)
    assert (row["params.n_groups"], row["params.space"], row["params.lr"]) == (2, "log", 1 / 3)
    assert (row["params.benchmark.n_tasks"], row["params.training.patience"]) == (2, None)
    assert (row["val/task0/mae"], row["test/task0/mae"]) == (1 / 3, 0.1)
    assert table.loc["ls-3", "reason"] == "epoch 1: loss is nan"
    assert math.isnan(table.loc["ls-3", "score"])
    assert table["status"].value_counts().to_dict() == {"finished": 6, "stopped": 1, "failed": 1}
    assert table["run_id"].is_unique


def test_studies_at_a_glance(uri: str) -> None:
    beta, alpha = results.studies(uri)
    assert (alpha.name, alpha.status, beta.name, beta.status) == ("alpha", "finished", "beta", "interrupted")
    assert alpha.trials == {
        "reference": {"finished": 1},
        "search": {"finished": 4, "stopped": 1, "failed": 1},
        "final": {"finished": 1},
    }
    assert beta.trials == {"search": {"interrupted": 1}}
    assert alpha.best == {"go4align": -2.0, "ls": 4.0}
    assert list(alpha.best) == ["go4align", "ls"]
    assert (alpha.trial_hours, alpha.gpu_hours, beta.trial_hours) == (8.0, 4.0, 0.0)
    assert 0 <= alpha.wall_hours < 0.1
    assert (datetime.now(UTC) - alpha.created).total_seconds() < 600


def test_what_a_study_ran_with_and_what_it_began_with(uri: str) -> None:
    assert results.study_file("alpha", uri) == study_of("alpha")
    assert results.published("alpha", uri) == {"ls": trial_of("ls-0").configuration}
    assert results.exists("alpha", uri)
    assert not results.exists("gamma", uri)


def test_a_run_that_came_to_nothing_hides_no_results(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri)
    tracker.open(study_of("alpha"))
    tracker.close("failed")
    assert not results.exists("alpha", uri)
    assert results.study_file("alpha", uri) == study_of("alpha")
    tracker.open(study_of("alpha"))
    end(tracker, trial_of("ls-0", origin="published"), result_of("ls-0", 5.0))
    tracker.close("finished")
    tracker.open(study_of("alpha", epochs=9))
    end(tracker, reference_trial(0), result_of("stl-0", 0.2))
    end(tracker, trial_of("ls-1"), result_of("ls-1", None, status="failed"))
    tracker.close("failed")
    assert [one.trial for one in results.best("alpha", uri)] == ["ls-0"]
    assert results.study_file("alpha", uri) == study_of("alpha")
    assert (set(results.published("alpha", uri)), set(results.finished("alpha", uri))) == ({"ls"}, {"ls-0"})
    assert list(results.trials("alpha", uri)["trial"]) == ["ls-0"]
    assert [(one.status, one.best) for one in results.studies(uri)] == [("finished", {"ls": 5.0})]
    assert results.exists("alpha", uri)


@pytest.mark.parametrize(
    "path", ["/proc/x/m.db", "/proc/m.db", "{}/file/m.db", "{}/file/deeper/m.db", "{}/closed/m.db", "/" + "x" * 300]
)
def test_a_store_that_cannot_be_made_is_one_line(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir()
    touch = Path.touch

    def refuse(path: Path) -> None:  # root may write everywhere
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        touch(path)

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"The tracking store .* cannot be (created|opened): [A-Z]") as caught:
        connect("sqlite:///" + path.format(tmp_path), create=True)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "closed").iterdir())


def test_results_come_back_as_they_were(uri: str) -> None:
    found = results.finished("alpha", uri, ["ls-1", "ls-2", "other"])
    assert found == {"ls-1": result_of("ls-1", 4.0)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda uri: results.best("alpa", uri), "Unknown study 'alpa'. Did you mean 'alpha'? Known: alpha, beta."),
        (lambda uri: results.trials("x' or 1=1", uri), "Unknown study 'x' or 1=1'. Known: alpha, beta."),
        (lambda uri: results.study_file("alpha\n", uri), "Unknown study 'alpha '. Did you mean 'alpha'?"),
        (lambda uri: results.best("alpha", uri, "go4alig"), "Did you mean 'go4align'? Known: go4align, ls."),
        (lambda uri: results.best("beta", uri), "'beta' has no complete search trial yet."),
        (lambda uri: results.best("beta", uri, "ls"), "'beta' has no complete search trial of 'ls' yet."),
    ],
)
def test_what_is_not_there_is_one_line_with_the_nearest(uri: str, call: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        call(uri)
    assert message in str(caught.value)


def test_an_empty_store(empty_store: Path) -> None:
    uri = f"sqlite:///{empty_store}"
    assert results.studies(uri) == []
    assert not results.exists("alpha", uri)
    with pytest.raises(UserError, match="holds no study yet. Start one with `study run`"):
        results.best("alpha", uri)


def test_reading_makes_no_store_at_a_mistyped_path(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlfow.db"
    for read in (lambda: results.studies(uri), lambda: results.best("alpha", uri)):
        with pytest.raises(NoStoreError, match=r"There is no tracking store at .*mlfow.db yet"):
            read()
    assert not results.exists("alpha", uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database", None])
def test_a_file_that_is_no_store_stays_as_it_is(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (x)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(UserError, match="is not an MLflow database"):
        results.studies(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_store_of_another_mlflow_version(empty_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    shutil.copy(empty_store, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '0'")
    database.close()
    with pytest.raises(UserError, match="made by another MLflow version. Upgrade it: mlflow db upgrade sqlite:///"):
        results.studies(f"sqlite:///{path}")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg2://me:swordfish@127.0.0.1:9/runs"])
def test_a_store_that_does_not_answer_is_told_at_once(uri: str) -> None:
    with pytest.raises(UserError, match=r"does not answer \(connection refused\)") as caught:
        results.studies(uri)
    assert "swordfish" not in str(caught.value)


def test_a_reference_is_found_by_all_that_decides_it(uri: str) -> None:
    key = reference_key(reference_trial(0).configuration, 1)
    assert find_reference(key, uri) == {"val/task0/mae": 1 / 3, "test/task0/mae": 0.1}
    others = [(reference_trial(0), 2), (reference_trial(1), 1), (reference_trial(0, epochs=4), 1)]
    for other, seed in others:
        assert find_reference(reference_key(other.configuration, seed), uri) is None
    told: list[str] = []
    assert find_reference(key, "http://127.0.0.1:9", notify=told.append) is None
    assert "does not answer" in told[0]
