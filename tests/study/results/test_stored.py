"""A study read from its store: frames, the best of each method, and what is not there."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import (
    end,
    finished,
    reference_result,
    reference_trial,
    small_study,
    small_trial,
    store_in,
    whole_result,
)  # fmt: skip
from trackers import opened

from go4align.errors import UserError
from study.results import StoredStudy, exists, open_study, studies
from study.results.frames import METRICS, TRIALS
from study.spec.configuration import BestConfiguration
from study.store.client import connect


@pytest.fixture(scope="module")
def uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with study "alpha" (run twice) and study "beta" (nothing finished)."""
    home = tmp_path_factory.mktemp("home")
    uri = store_in(home, empty_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        tracker = opened(uri, small_study("alpha"))
        end(tracker, small_trial("go4align-0"), whole_result("go4align-0", -99.0))
        tracker.close("finished")
        tracker = opened(uri, small_study("alpha"), space_hash="abc")
        for task in range(2):
            end(tracker, reference_trial(task), reference_result(task))
        end(tracker, small_trial("ls-0", origin="default"), whole_result("ls-0", 5.0))
        end(tracker, small_trial("ls-1"), whole_result("ls-1", 4.0))
        end(tracker, small_trial("ls-2"), whole_result("ls-2", -50.0, status="stopped"))
        end(tracker, small_trial("ls-3"), whole_result("ls-3", None, status="failed", reason="epoch 1: loss is nan"))
        end(tracker, small_trial("ls-4"), whole_result("ls-4", math.nan))
        end(tracker, small_trial("go4align-0"), whole_result("go4align-0", -2.0))
        metrics = {"test/task0/mae": 0.1, "test/task0/mae_change": -80.0, "test/delta_m": -80.0, "epoch_s": 0.25}
        final = whole_result("go4align-9", -70.0, metrics=metrics)
        end(tracker, small_trial("go4align-9", stage="final", seed=101), final)
        tracker.close("finished")
        tracker = opened(uri, small_study("beta"))
        tracker.start(small_trial("ls-0"))
        tracker.close("interrupted")
    return uri


@pytest.fixture
def alpha(uri: str) -> StoredStudy:
    return open_study("alpha", uri)


@pytest.fixture
def shared(uri: str, tmp_path: Path) -> str:
    """A copy of the store, for others to write to."""
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "shared.db")
    return f"sqlite:///{tmp_path}/shared.db"


def test_best_is_the_best_complete_search_trial_of_each_method_in_the_newest_run(alpha: StoredStudy) -> None:
    found = alpha.best()
    assert [(one.trial, one.score) for one in found.configurations] == [("go4align-0", -2.0), ("ls-1", 4.0)]
    sections = {"benchmark", "method", "training"}
    assert found.configurations[0].model_dump(include=sections) == small_trial("go4align-0").configuration.model_dump()
    assert found.reference.source == "measured"
    assert found.reference.val == found.reference.test == {"task0/mae": 0.5, "task1/mae": 0.5}
    assert [one.trial for one in alpha.best("ls").configurations] == ["ls-1"]
    assert all(isinstance(one, BestConfiguration) for one in alpha.searched())
    assert [one.trial for one in alpha.searched()] == ["go4align-0", "ls-1", "ls-0"]


def test_what_a_study_ran_with_and_what_it_began_with(alpha: StoredStudy, uri: str) -> None:
    assert alpha.study == small_study("alpha")
    assert alpha.defaults() == {"ls": small_trial("ls-0").configuration}
    assert (alpha.space_hash, len(alpha.study_run)) == ("abc", 12)
    assert exists("alpha", uri)
    assert not exists("gamma", uri)


def test_a_row_per_trial(alpha: StoredStudy) -> None:
    table = alpha.trials.set_index("trial")
    ids = ["stl-0", "stl-1", "ls-0", "ls-1", "ls-2", "ls-3", "ls-4", "go4align-0", "go4align-9"]
    assert sorted(table.index) == sorted(ids)
    row = table.loc["go4align-0"]
    assert (row["stage"], row["method"], row["origin"], row["seed"]) == ("search", "go4align", "proposed", 0)
    assert (row["status"], row["score"], row["seconds"], row["epochs"]) == ("finished", -2.0, 3600.0, 3)
    assert (row["params.n_groups"], row["params.space"], row["params.lr"]) == (2, "log", 1 / 3)
    assert (row["params.benchmark.n_tasks"], row["params.training.patience"]) == (2, None)
    assert table.loc["ls-3", "reason"] == "epoch 1: loss is nan"
    assert math.isnan(table.loc["ls-3", "score"])
    assert table.loc["go4align-9", "epoch_s"] == 0.25
    assert table["status"].value_counts().to_dict() == {"finished": 7, "stopped": 1, "failed": 1}
    assert table["run_id"].is_unique
    assert table["started"].is_monotonic_increasing


def test_a_row_per_metric_with_the_change_beside_the_value(alpha: StoredStudy) -> None:
    rows = alpha.metrics[alpha.metrics["trial"] == "go4align-9"].drop(columns=["trial", "method", "origin"])
    by_metric = {(row.split, row.task, row.metric): row for row in rows.itertuples()}
    assert set(by_metric) == {("test", "task0", "mae"), ("test", "", "delta_m")}
    mae = by_metric["test", "task0", "mae"]
    assert (mae.seed, mae.stage, mae.value, mae.change) == (101, "final", 0.1, -80.0)
    delta_m = by_metric["test", "", "delta_m"]
    assert (delta_m.value, math.isnan(delta_m.change)) == (-80.0, True)
    assert set(alpha.metrics[alpha.metrics["trial"] == "ls-1"]["split"]) == {"val", "test"}
    assert "ls-3" not in set(alpha.metrics["trial"])


def test_results_come_back_as_they_were(uri: str) -> None:
    assert finished("alpha", uri)["ls-1"] == whole_result("ls-1", 4.0)


def test_frames_without_rows_have_their_columns_and_types(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    tracker.close("failed")
    nothing = open_study("alpha", uri)
    assert nothing.trials.dtypes.astype(str).to_dict() == TRIALS
    assert nothing.metrics.dtypes.astype(str).to_dict() == METRICS
    assert list(nothing.epochs) == ["trial", "epoch", "task", "quantity", "value"]
    assert list(nothing.co_assignment) == ["trial", "epoch", "task", "other", "share"]
    assert not exists("alpha", uri)


def test_a_running_study_is_read_anew_on_request(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    tracker.start(small_trial("ls-0"))
    tracker.flush()
    running = open_study("alpha", uri)
    assert list(running.trials["status"]) == ["running"]
    assert running.epochs.empty
    tracker.finish("ls-0", whole_result("ls-0", 5.0))
    tracker.flush()
    assert list(running.trials["status"]) == ["running"]
    running.refresh()
    assert list(running.trials["status"]) == ["finished"]
    assert running.trials.dtypes.astype(str)["epochs"] == "Int64"
    tracker.close("finished")


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
    assert [summary.name for summary in studies(shared)] == ["beta", "alpha"]
    assert len(open_study("alpha", shared).searched()) == 3


def test_a_run_of_others_below_a_study_is_no_trial(shared: str) -> None:
    client = connect(shared)
    run = client.get_run(str(open_study("alpha", shared).trials.run_id[0]))
    parent = run.data.tags["mlflow.parentRunId"]
    for tags in ({}, {"stage": "search"}):
        created = client.create_run(run.info.experiment_id, tags={"mlflow.parentRunId": parent, **tags})
        client.set_terminated(created.info.run_id)
    assert len(open_study("alpha", shared).trials) == 9
    assert studies(shared)[1].trials["search"] == {"finished": 4, "stopped": 1, "failed": 1}


@pytest.mark.parametrize("text", ["", "{", "5", '{"name": "alpha", "benchmark": {"name": "toy"}, "gone": 1}'])
def test_tags_that_cannot_be_read_are_one_line(shared: str, text: str) -> None:
    client = connect(shared)
    run = client.get_run(str(open_study("alpha", shared).trials.set_index("trial").run_id["ls-1"]))
    client.set_tag(run.info.run_id, "configuration", text)
    with pytest.raises(
        UserError, match=r"The tag `configuration` of the MLflow run \w+ cannot be read: .* version"
    ) as one:
        open_study("alpha", shared).best()
    client.set_tag(run.data.tags["mlflow.parentRunId"], "study_file", text)
    for read in (lambda stored: stored.best(), lambda stored: stored.study):
        with pytest.raises(UserError, match=r"The tag `study_file` of the MLflow run \w+ cannot be read: .*") as other:
            read(open_study("alpha", shared))
    assert "\n" not in str(one.value) + str(other.value)
    assert math.isnan(studies(shared)[1].gpu_hours)
    assert len(open_study("alpha", shared).trials) == 9


def test_a_run_that_came_to_nothing_hides_no_results(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    tracker.close("failed")
    assert not exists("alpha", uri)
    assert open_study("alpha", uri).study == small_study("alpha")
    tracker = opened(uri, small_study("alpha"))
    end(tracker, small_trial("ls-0", origin="default"), whole_result("ls-0", 5.0))
    tracker.close("finished")
    tracker = opened(uri, small_study("alpha", epochs=9))
    end(tracker, reference_trial(0), reference_result(0))
    end(tracker, small_trial("ls-1"), whole_result("ls-1", None, status="failed"))
    tracker.close("failed")
    stored = open_study("alpha", uri)
    assert [one.trial for one in stored.searched()] == ["ls-0"]
    assert stored.study == small_study("alpha")
    assert set(stored.defaults()) == {"ls"}
    assert list(stored.trials["trial"]) == ["ls-0"]
    assert [(one.status, one.best) for one in studies(uri)] == [("finished", {"ls": 5.0})]
    assert exists("alpha", uri)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda uri: open_study("alpa", uri), "Unknown study 'alpa'. Did you mean 'alpha'? Known: alpha, beta."),
        (lambda uri: open_study("x' or 1=1", uri), "Unknown study 'x' or 1=1'. Known: alpha, beta."),
        (lambda uri: open_study("alpha\n", uri), "Unknown study 'alpha '. Did you mean 'alpha'?"),
        (lambda uri: open_study("alpha", uri).best("go4alig"), "Did you mean 'go4align'? Known: go4align, ls."),
        (lambda uri: open_study("beta", uri).best(), "'beta' has no complete search trial yet."),
        (lambda uri: open_study("beta", uri).best("ls"), "'beta' has no complete search trial of 'ls' yet."),
    ],
)
def test_what_is_not_there_is_one_line_with_the_nearest(uri: str, call: Callable[[str], Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        call(uri)
    assert message in str(caught.value)


def test_a_missing_reference_is_one_line_with_the_command(shared: str) -> None:
    run_id = open_study("alpha", shared).trials.set_index("trial").run_id["stl-1"]
    connect(shared).delete_run(run_id)
    with pytest.raises(UserError, match=r"no finished single-task run for reference-task1.*study run alpha --again"):
        open_study("alpha", shared).best()


def test_an_empty_store(empty_store: Path) -> None:
    uri = f"sqlite:///{empty_store}"
    assert studies(uri) == []
    assert not exists("alpha", uri)
    with pytest.raises(UserError, match="holds no study yet. Start one with `study run`"):
        open_study("alpha", uri)
