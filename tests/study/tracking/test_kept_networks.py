"""Networks of tuned final runs: kept by the store, whatever happens on the way, and loaded again."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from records import trial_of
from trackers import Notices, runs_of

from go4align.errors import UserError
from study import open_study, remove
from study.store.networks import stored_networks
from study.tracking import JournalTracker, sync_journal
from study.trials import networks
from study.trials.records import Trial, TrialResult
from study.trials.run import run_trial

REFERENCE = {split: {f"task{m}/mae": 1.0 for m in range(3)} for split in ("val", "test")}
LOADED = """
import json
from go4align.training import evaluate
from study import open_study
stored = open_study("tracked")
benchmark = stored.study.build_final_benchmark()
benchmark.prepare()
network = stored.load_model("go4align", seed=101)
assert not network.training
print(json.dumps(evaluate(benchmark, network, "test", 32).metrics))
"""


def final() -> Trial:
    """A tuned final run of three epochs."""
    asked = {"seed": 101, "origin": "tuned", "reference": REFERENCE, "test": True, "keep_network": True}
    return trial_of("final-go4align-abcdef-s101", stage="final", **asked)


def run(tracker: JournalTracker, trial: Trial, home: Path) -> TrialResult:
    """Train it and tell of it, as a worker and the driver do."""
    file = networks.network_file(home / "studies" / "tracked" / tracker.study_run, trial.id)
    tracker.start(trial)
    result = run_trial(trial, lambda record: tracker.log(trial.id, record), device="cpu", network=file)
    tracker.finish(trial.id, result)
    return result


def test_a_fresh_process_loads_it_and_measures_the_same(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    result = run(tracker, final(), tmp_path)
    assert tracker.close("finished") == 0
    assert result.network_mib == pytest.approx(0.01, abs=0.01)
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == {key[5:]: value for key, value in result.metrics.items() if key[5:] in REFERENCE["test"]}
    assert not list((tmp_path / "studies" / "tracked").glob("*/networks/*")), "the store has it"


def test_it_hangs_on_its_run_and_the_data(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run(tracker, final(), tmp_path)
    assert tracker.flush() == 0
    client = MlflowClient(uri)
    stored = runs_of(uri)["final-go4align-abcdef-s101"]
    kept = stored_networks(client, stored.info.experiment_id)[stored.info.run_id]
    assert [output.model_id for output in stored.outputs.model_outputs] == [kept.model_id]
    assert kept.params == stored.data.params and kept.tags["seed"] == "101"
    assert {(metric.key, metric.dataset_name) for metric in kept.metrics} >= {("test/task0/mae", "toy")}
    [data] = stored.inputs.dataset_inputs
    assert data.dataset.digest == next(iter(kept.metrics)).dataset_digest


def test_told_twice_it_is_kept_once(
    tracker: JournalTracker, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "finalize_logged_model", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
        run(tracker, final(), tmp_path)
        tracker.close("finished", timeout_s=30)
    with pytest.raises(UserError, match="has no kept network"):
        open_study("tracked", uri).load_model("go4align")
    assert sync_journal("tracked", uri, notify=Notices())[1] == 0
    assert sync_journal("tracked", uri, rebuild=True, notify=Notices())[1] == 0
    experiment = runs_of(uri)["study"].info.experiment_id
    assert len(MlflowClient(uri).search_logged_models([experiment])) == 1
    open_study("tracked", uri).load_model("go4align", 101)


@pytest.mark.parametrize("case", ["too large", "no room", "not asked for"])
def test_a_network_that_is_not_kept_leaves_the_result_as_it_is(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = final()
    file = tmp_path / "networks" / "one.pt"
    expected = run_trial(trial, device="cpu")
    if case == "too large":
        monkeypatch.setattr(networks, "MOST_MIB", 0.001)
    elif case == "no room":
        file.parent.write_text("a file where the folder should be")
    else:
        trial = replace(trial, keep_network=False)
    found = run_trial(trial, device="cpu", network=file)
    assert (found.status, found.network_mib, found.score) == ("finished", None, expected.score)
    assert not file.exists()
    told = {"too large": "up to 0 are kept", "no room": "cannot be kept: File exists", "not asked for": ""}[case]
    assert [warning for warning in found.warnings if told not in warning] == []
    assert bool(found.warnings) == bool(told)


def test_what_cannot_be_loaded_is_said_in_one_line(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run(tracker, final(), tmp_path)
    tracker.close("finished")
    stored = open_study("tracked", uri)
    with pytest.raises(UserError, match="'go4align' has networks of the seeds 101, found none of 7"):
        stored.load_model("go4align", seed=7)
    with pytest.raises(UserError, match="method with a network 'go4alin'.*go4align"):
        stored.load_model("go4alin")
    [file] = (tmp_path / "artifacts").rglob("*.pt")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"The network of final-go4align-abcdef-s101 cannot be read"):
        stored.load_model("go4align")


def test_a_removed_study_leaves_none(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run(tracker, final(), tmp_path)
    tracker.close("finished")
    assert list(tmp_path.rglob("final-*.pt"))
    remove("tracked", yes=True, tracking_uri=uri)
    assert not list(tmp_path.rglob("final-*.pt")) and not list(tmp_path.rglob("models"))
    tables = ("experiments", "runs", "logged_models", "logged_model_metrics", "datasets")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        left = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    assert left == dict.fromkeys(tables, 0) | {"experiments": 1}  # MLflow's own


def test_what_others_log_in_the_experiment_stays(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    run(tracker, final(), tmp_path)
    tracker.close("finished")
    client = MlflowClient(uri)
    experiment = runs_of(uri)["study"].info.experiment_id
    theirs = client.create_logged_model(experiment, "theirs", model_type="something else")
    (tmp_path / "weights.txt").write_text("theirs")
    client.log_model_artifact(theirs.model_id, str(tmp_path / "weights.txt"))
    client.finalize_logged_model(theirs.model_id, "READY")
    remove("tracked", yes=True, tracking_uri=uri)
    assert [model.model_id for model in client.search_logged_models([experiment])] == [theirs.model_id]
    assert len(list(tmp_path.rglob(f"{theirs.model_id}/artifacts/weights.txt"))) == 1
    assert not list(tmp_path.rglob("final-*.pt"))


def test_after_another_search_the_last_configuration_counts(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    first = final()
    changed = first.configuration.model_copy(
        update={"training": replace(first.configuration.training, epochs=1)}  # which the network does not show
    )
    second = replace(first, id="final-go4align-fedcba-s101", configuration=changed)
    results = [run(tracker, trial, tmp_path) for trial in (first, second)]
    assert tracker.close("finished") == 0
    stored = open_study("tracked", uri)
    weights = torch.cat([part.flatten() for part in stored.load_model().state_dict().values()])
    alone = tmp_path / "alone.pt"
    run_trial(second, device="cpu", network=alone)
    expected = torch.cat([part.flatten() for part in torch.load(alone)["network"].values()])
    assert torch.equal(weights, expected)
    parent = runs_of(uri)["study"].data
    tuned = results[1].metrics["test/delta_m"]
    assert parent.metrics["final/tuned_delta_m/go4align"] == tuned != results[0].metrics["test/delta_m"]
    assert f"| go4align |  |  | {tuned:+.1f} |" in parent.tags["mlflow.note.content"]


def test_a_description_that_somebody_edited_stays(tracker: JournalTracker, uri: str, tmp_path: Path) -> None:
    assert tracker.flush() == 0
    parent = runs_of(uri)["study"]
    assert parent.data.tags["mlflow.note.content"].startswith("Study **tracked**")
    MlflowClient(uri).set_tag(parent.info.run_id, "mlflow.note.content", "Mine.")
    tracker.close("finished")
    assert runs_of(uri)["study"].data.tags["mlflow.note.content"] == "Mine."


def test_one_whose_file_is_gone_is_passed_over(tracker: JournalTracker, uri: str) -> None:
    """As in a second store, which is told of what the first one has taken."""
    trial = final()
    tracker.start(trial)
    tracker.finish(trial.id, TrialResult(trial.id, "finished", 1.0, {"test/delta_m": 1.0}, 3, 1.0, network_mib=0.5))
    assert tracker.flush() == 0
    assert stored_networks(MlflowClient(uri), runs_of(uri)["study"].info.experiment_id) == {}
