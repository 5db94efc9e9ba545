"""A study's runs through sessions, machines and kills: gone on with, never doubled."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from records import record_of, result_of, study_of, trial_of
from trackers import Notices, artifact, opened, run_one, runs_of, steps

from go4align.errors import UserError
from study import open_study
from study.tracking import JournalTracker


def test_a_resumed_study_goes_on_in_the_same_runs(uri: str) -> None:
    study_run = None
    for status in ("interrupted", "finished"):
        tracker = opened(uri, study_run=study_run)
        study_run = tracker.study_run
        tracker.start(trial_of("a"))
        tracker.log("a", record_of(1))
        if status == "finished":
            run_one(tracker, trial_of("a"))
        tracker.close(status)  # type: ignore[arg-type]
        runs = runs_of(uri)
        assert (runs["a"].data.tags["status"], runs["study"].data.tags["status"]) == (status, status)
    assert steps(uri, "a") == [1, 2, 3]


def test_what_earlier_sessions_left(uri: str) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.start(trial_of("b"))
    tracker.log("b", record_of(1))
    tracker.close("interrupted")
    again = JournalTracker(study_of(), uri, study_run=tracker.study_run, notify=print)
    history = again.open()
    again.close("finished")
    assert history.stages == {"a": "search", "b": "search"}
    assert history.results == {"a": result_of("a")}
    assert [(report.trial, report.epoch) for report in history.reports] == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]


def test_resuming_on_another_machine_goes_on_in_the_store_s_run(uri: str, tmp_path: Path) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.close("finished")
    shutil.rmtree(tmp_path / "studies")
    for trial in ("b", "c"):
        tracker = opened(uri, study_run=tracker.study_run)
        run_one(tracker, trial_of(trial, stage="final"))
        tracker.close("finished")
    runs = runs_of(uri)
    assert set(runs) == {"study", "a", "b", "c"}
    assert runs["study"].data.metrics["trial_s"] == 3 * 12.5


def test_a_run_that_nobody_knows_cannot_be_gone_on_with(uri: str) -> None:
    for _ in range(2):  # and leaves the study open to others
        with pytest.raises(UserError, match=r"Neither this machine nor .* has the run r1.*--tracking-uri"):
            opened(uri, study_run="r1")
    opened(uri).close("finished")


def parents_of(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment
    return list(client.search_runs([experiment.experiment_id], "tags.stage = 'study'"))


def test_again_is_another_run_of_the_study(uri: str) -> None:
    for _ in range(2):
        tracker = opened(uri)
        run_one(tracker, trial_of("a"))
        tracker.close("finished")
    assert {run.data.tags["study_run"] for run in parents_of(uri)} > {tracker.study_run}


def test_readers_pass_over_a_run_without_results(uri: str) -> None:
    first = opened(uri)
    run_one(first, trial_of("a"))
    first.close("finished")
    second = opened(uri)
    second.start(trial_of("b"))
    second.close("failed")
    assert len(parents_of(uri)) == 2
    assert open_study("tracked", uri).study_run == first.study_run


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("ended", ["finished", "interrupted", "failed"])
def test_final_runs_leave_what_the_search_was_made_from_and_how_it_ended(
    here: bool, ended: Any, uri: str, tmp_path: Path
) -> None:
    tracker = opened(uri, space_hash="space", source="# as written\nname: tracked")
    run_one(tracker, trial_of("a"))
    tracker.close(ended)
    before = runs_of(uri)["study"].data.tags
    for n, session in enumerate(("interrupted", "finished")):
        if not here:
            shutil.rmtree(tmp_path / "studies")
        tracker = opened(uri, study_of(seeds={"final": [7]}), study_run=tracker.study_run)
        tracker.flush()
        assert runs_of(uri)["study"].data.tags["status"] == "running"
        run_one(tracker, trial_of(f"final-{n}", stage="final"))
        tracker.close(session)  # type: ignore[arg-type]
        runs = runs_of(uri)
        tags = {tag: value for tag, value in runs["study"].data.tags.items() if tag not in {"heartbeat", "backlog"}}
        assert tags == before | {"status": session if ended == "finished" else ended}
        assert runs[f"final-{n}"].data.tags["space_hash"] == "space"
        assert runs[f"final-{n}"].data.tags["study_hash"] == before["study_hash"]
    assert artifact(uri, runs["study"], "study.yaml", tmp_path).startswith(b"# as written")


def test_a_killed_final_session_elsewhere_leaves_how_the_search_ended(uri: str, tmp_path: Path) -> None:
    tracker = opened(uri)
    run_one(tracker, trial_of("a"))
    tracker.close("interrupted")
    shutil.rmtree(tmp_path / "studies")
    killed = opened(uri, study_run=tracker.study_run)
    killed.flush()
    shutil.copytree(tmp_path / "studies", tmp_path / "as-the-kill-left-it")
    killed.close("failed")
    shutil.rmtree(tmp_path / "studies")
    (tmp_path / "as-the-kill-left-it").rename(tmp_path / "studies")
    opened(uri, study_run=tracker.study_run).close("finished")
    assert runs_of(uri)["study"].data.tags["search_status"] == "interrupted"


def test_a_study_that_was_changed_on_purpose_stays_changed(uri: str) -> None:
    tracker = opened(uri, space_hash="first")
    tracker.close("interrupted")
    changed = study_of(seeds={"final": [7]})
    opened(uri, changed, space_hash="second", study_run=tracker.study_run, changed=True).close("interrupted")
    again = opened(uri, changed, space_hash="second", study_run=tracker.study_run)
    again.start(trial_of("a"))
    again.close("finished")
    runs = runs_of(uri)
    assert runs["study"].data.tags["space_hash"] == runs["a"].data.tags["space_hash"] == "second"
    assert runs["study"].data.tags["study_hash"] == runs["a"].data.tags["study_hash"]


def test_what_goes_wrong_in_tracking_is_told_once_and_not_raised(tracker: JournalTracker, notices: Notices) -> None:
    tracker.log("never-started", record_of(1))
    for _ in range(2):
        tracker.finish("a", None)  # type: ignore[arg-type]
    assert [notice.partition(":")[0] for notice in notices] == ["Tracking failed (finish)"]
    tracker.close("finished")
    tracker.start(trial_of("a"))
    assert "not open" in notices[-1]


def test_a_full_disk_is_an_error_and_what_it_lost_can_be_told_again(
    tracker: JournalTracker, uri: str, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.start(trial_of("a"))
    tracker.log("a", record_of(1))
    with monkeypatch.context() as patch:
        patch.setattr("study.tracking.journal.os.write", lambda *_: 0)
        with pytest.raises(OSError, match="No space left on device"):
            tracker.log("a", record_of(2))
        tracker.close("failed")
    assert steps(uri, "a") == [1]
    assert {run.info.status for run in runs_of(uri).values()} == {"KILLED", "FAILED"}  # none is left running
    again = opened(uri, notices=notices, study_run=tracker.study_run)
    run_one(again, trial_of("a"))
    again.close("finished")
    assert steps(uri, "a") == [1, 2, 3]
    assert notices == []


def test_a_full_disk_at_the_very_beginning_leaves_the_study_open_to_others(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("study.tracking.journal.os.write", lambda *_: 0)
        with pytest.raises(OSError, match="No space left on device"):
            opened(uri)
    opened(uri).close("finished")
    assert set(runs_of(uri)) == {"study"}


def test_two_processes_cannot_track_one_study(tracker: JournalTracker, uri: str) -> None:
    with pytest.raises(UserError, match="Another process is running the study 'tracked'"):
        opened(uri)


def test_importing_the_tracker_does_not_import_mlflow() -> None:
    modules = "study.tracking.journal_tracker, study.results.stored, study.tracking.sync"
    script = f"import sys, {modules}; print({{'mlflow', 'pyarrow'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


DRIVER = """
import sys
from records import record_of, result_of, study_of, trial_of
from study.tracking import JournalTracker
uri, study_run, stop_after = sys.argv[1:]
tracker = JournalTracker(study_of(), uri, study_run=study_run or None, notify=print)
tracker.open()
print(tracker.study_run, flush=True)
for n in range(6):
    tracker.start(trial_of(f"t{n}"))
    for epoch in range(1, 4):
        tracker.log(f"t{n}", record_of(epoch))
        print(n, epoch, flush=True)
    tracker.finish(f"t{n}", result_of(f"t{n}"))
    if n == int(stop_after):
        tracker.flush(0.3)
        sys.stdin.read()
tracker.close("finished")
"""


def driver(uri: str, study_run: str, stop_after: int, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", DRIVER, uri, study_run, str(stop_after)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    helpers = str(Path(__file__).parents[2] / "helpers")
    path = os.pathsep.join(filter(None, [str(Path.cwd()), helpers, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(command, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": path}, **pipes)


@pytest.mark.slow
def test_a_driver_killed_and_resumed_loses_and_doubles_nothing(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    with driver(uri, "", 3, folder) as process:
        assert process.stdout is not None
        study_run = process.stdout.readline().strip()
        assert any(line == "3 3\n" for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    with driver(uri, study_run, -1, folder) as process:
        output, _ = process.communicate(timeout=60)
    epochs = "".join(f"{n} {epoch}\n" for n in range(6) for epoch in (1, 2, 3))
    assert output == f"{study_run}\n{epochs}"  # and no chatter
    assert list(folder.iterdir()) == []
    runs = runs_of(uri)
    assert set(runs) == {"study", *(f"t{n}" for n in range(6))}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for n in range(6):
        assert steps(uri, f"t{n}") == [1, 2, 3]
