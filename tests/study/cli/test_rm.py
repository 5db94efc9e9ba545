"""`study rm`: says what would go, removes all of it and nothing else, and goes on after a kill at any step."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from servers import MlflowServer
from stored import end, reference_result, reference_trial, small_study, small_trial, store_in, whole_result
from trackers import opened, runs_of

import study
from go4align.disk import lock
from go4align.errors import RunFailedError, UserError
from study import cli
from study.results import exists
from study.stages import folder
from study.store import removal

Command = Callable[..., tuple[int, str, str]]


class Killed(BaseException):
    """No exception that is turned into a message."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the console entry point; returns exit code, stdout and stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["study", *args])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return call


@pytest.fixture
def home(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with an empty store, which is the default one."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("GO4ALIGN_HOME", str(home))
    store_in(home, empty_store)
    return home


@pytest.fixture
def uri(home: Path) -> str:
    return f"sqlite:///{home}/mlflow.db"


@pytest.fixture
def other(home: Path, empty_store: Path) -> str:
    """Another empty store."""
    shutil.copy(empty_store, home / "other.db")
    return f"sqlite:///{home}/other.db"


def begun(uri: str, name: str = "alpha", *, references: bool = True, status: str = "finished") -> Path:
    """A study with a plan and a checkpoint, its search done; returns its folder."""
    tracker = opened(uri, small_study(name))
    for task in range(2 if references else 0):
        end(tracker, reference_trial(task), reference_result(task))
    end(tracker, small_trial("ls-0", origin="default"), whole_result("ls-0", 5.0))
    tracker.close(status, timeout_s=60)  # type: ignore[arg-type]  # a literal
    path = folder.home_folder() / "studies" / name
    checkpoints = path / tracker.study_run / "checkpoints" / "ls-1"
    checkpoints.mkdir(parents=True)
    (checkpoints / "epoch-1.pt").write_bytes(b"x" * 3 * 2**20)
    (checkpoints.parents[1] / "optuna.journal").write_text("{}")
    (checkpoints.parents[1] / "plan.json").write_text(json.dumps({"store": uri, "of": "another version"}))
    return path


def names(uri: str) -> list[str]:
    return [found.name for found in study.studies(tracking_uri=uri)]


def contents(home: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in home.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def rows(home: Path, file: str = "mlflow.db") -> dict[str, int]:
    with closing(sqlite3.connect(home / file)) as database:
        tables = ("runs", "experiments", "tags", "params", "metrics", "latest_metrics", "experiment_tags")
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


# ------------------------------------------------------------------------------------------------------------ in whole


def test_without_yes_it_says_what_would_go_and_changes_nothing(home: Path, uri: str, command: Command) -> None:
    begun(uri)
    before = contents(home)
    code, out, err = command("rm", "alpha")
    assert (code, err) == (0, "")
    assert contents(home) == before
    assert "alpha would be removed" in out and "study rm alpha --yes" in out
    assert f"MLflow, {uri}: 4 runs; artifacts: 4 files" in out
    assert "journal, " in out and "search and plan, " in out
    assert "checkpoints, " in out and "1 file, 3.0 MiB" in out
    assert study.remove("alpha", yes=False).done is False
    assert contents(home) == before


def test_with_yes_all_of_it_goes_and_nothing_else(home: Path, uri: str, command: Command) -> None:
    empty = rows(home)
    begun(uri, "beta")
    left = rows(home)
    begun(uri)
    others = {path: data for path, data in contents(home).items() if "alpha" not in path and "mlflow.db" not in path}
    code, out, err = command("rm", "alpha", "--yes")
    assert (code, err) == (0, "")
    assert "alpha is removed" in out and "study ls" in out
    assert rows(home) == left
    assert {path: data for path, data in contents(home).items() if "mlflow.db" not in path} == others
    assert not [path for path in home.rglob("*") if "alpha" in str(path)]
    assert names(uri) == ["beta"] and not exists("alpha", uri)
    code, _, err = command("best", "alpha")
    assert code == 2 and "Unknown study 'alpha'" in err
    assert study.remove("beta").done
    assert rows(home) == empty


def test_a_name_is_free_again(home: Path, uri: str) -> None:
    for _ in range(2):
        begun(uri)
        assert set(runs_of(uri, "alpha")) == {"study", "stl-0", "stl-1", "ls-0"}
        study.remove("alpha")
        assert runs_of(uri, "alpha") == {}


def test_every_run_of_a_study_goes(home: Path, uri: str) -> None:
    begun(uri)
    begun(uri, references=False, status="interrupted")
    study.remove("alpha")
    assert names(uri) == []
    assert not list((home / "studies").iterdir())


# ------------------------------------------------------------------------------------------------------- not to be had


def test_a_study_that_does_not_exist_is_one_line(home: Path, uri: str, command: Command) -> None:
    begun(uri)
    before = contents(home)
    for name in ("alhpa", "../alpha", "alpha/", "", ".", "x" * 300, "a' or 1=1", "alpha.yaml"):
        for yes in ([], ["--yes"]):
            code, out, err = command("rm", *yes, "--", name)
            assert (code, out, err.count("\n")) == (2, "", 1), err
            assert "alpha" in err
    assert contents(home) == before


def test_nothing_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "absent"))
    code, out, err = command("rm", "alpha", "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_removed_it_is_not_there_to_be_removed(home: Path, uri: str, command: Command) -> None:
    begun(uri)
    study.remove("alpha")
    code, _, err = command("rm", "alpha", "--yes")
    assert code == 2 and "no study to remove" in err


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_live_study_is_refused(yes: list[str], home: Path, uri: str, command: Command) -> None:
    path = begun(uri)
    before = contents(home)
    held = lock(path / "journal.lock")
    with held:
        code, out, err = command("rm", "alpha", *yes)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Another process is running the study 'alpha'" in err
    assert contents(home) == before


def test_a_tracker_that_is_open_makes_a_study_live(home: Path, uri: str) -> None:
    tracker = opened(uri, small_study("alpha"))
    with pytest.raises(UserError, match="Another process is running"):
        study.remove("alpha")
    tracker.close("interrupted")
    assert study.remove("alpha").done


# ---------------------------------------------------------------------------------------------------- in many attempts


def kill_after_each_step(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, every removal is killed right after its first step that changes anything; returns the steps."""
    taken: list[str] = []

    def once(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def step(*args: Any, **kwargs: Any) -> Any:
            original(*args, **kwargs)
            taken.append(name)
            raise Killed

        monkeypatch.setattr(owner, name, step)

    for name in ("_hard_delete_run", "_hard_delete_experiment"):
        once(SqlAlchemyStore, name)
    once(MlflowClient, "delete_experiment")
    once(folder, "remove_path")
    monkeypatch.setattr(removal, "shutil", SimpleNamespace(rmtree=shutil.rmtree))
    once(removal.shutil, "rmtree")
    return taken


def is_killed(uri: str | None) -> bool:
    try:
        study.remove("alpha", tracking_uri=uri)
    except Killed:
        return True
    return False


@pytest.mark.parametrize("explicit", [False, True])
def test_a_removal_that_is_killed_at_every_step_is_found_again(
    explicit: bool, home: Path, other: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(other)
    with monkeypatch.context() as patch:
        steps = kill_after_each_step(patch)
        while is_killed(other if explicit else None):
            assert len(steps) < 60, "it never ends"
            if any(path.glob("*")):
                code, out, _ = command("rm", "alpha", *(["--tracking-uri", other] if explicit else []))
                assert code == 0 and "journal" in out, "what is left is found"
            if "ls-0" in runs_of(other, "alpha"):
                assert names(other) == ["alpha"]
    assert steps.count("_hard_delete_run") == 4
    assert steps.index("_hard_delete_experiment") < steps.index("remove_path"), "the folder says where the runs are"
    assert not path.exists() and names(other) == []
    assert not (home / "artifacts" / "alpha").exists()
    begun(other)
    assert names(other) == ["alpha"]


def test_what_cannot_be_removed_is_one_line(
    home: Path, uri: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(uri)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "remove_path", refuse)
        code, _, err = command("rm", "alpha", "--yes")
        assert (code, err.count("\n")) == (RunFailedError.exit_code, 1)
        assert "Permission denied" in err and "study rm alpha --yes" in err
    assert command("rm", "alpha", "--yes")[0] == 0
    assert not path.exists()


# ------------------------------------------------------------------------------------------------------ parts missing


def test_a_store_without_a_folder(home: Path, uri: str) -> None:
    shutil.rmtree(begun(uri))
    removed = study.remove("alpha")
    assert len(removed.parts) == 1 and "4 runs" in removed.parts[0]
    assert names(uri) == [] and not (home / "artifacts" / "alpha").exists()


@pytest.mark.parametrize("store", ["gone", "empty"])
def test_a_folder_without_a_store(store: str, home: Path, uri: str, empty_store: Path) -> None:
    path = begun(uri)
    artifacts = home / "artifacts" / "alpha"
    assert artifacts.is_dir()
    for file in home.glob("mlflow.db*"):
        file.unlink()
    if store == "empty":
        shutil.copy(empty_store, home / "fresh.db")
        uri = f"sqlite:///{home}/fresh.db"
    removed = study.remove("alpha", tracking_uri=None)
    assert any("no store knows" in part for part in removed.parts)
    assert not path.exists() and not artifacts.exists()


@pytest.mark.parametrize("left", ["nothing", "journal.jsonl", "journal.lock", "taken.json", "half a line"])
def test_a_folder_of_which_little_is_left(left: str, home: Path, uri: str) -> None:
    path = begun(uri)
    for found in path.iterdir():
        if found.name != left:
            folder.remove_path(found)
    if left == "half a line":
        (path / "journal.jsonl").write_bytes(b'{"seq":1,"time_ms":1,"study_run":"a","kind":"open","data":[1]}\n{"se')
        (path / "taken.json").write_text("[1")
    assert study.remove("alpha").done
    assert not path.exists() and names(uri) == []


def test_a_folder_that_is_a_link(home: Path, uri: str, tmp_path: Path) -> None:
    path = begun(uri)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    study.remove("alpha")
    assert not path.is_symlink()
    assert not list((tmp_path / "elsewhere").iterdir())


# ------------------------------------------------------------------------------------------------------------- stores


def test_the_store_that_the_folder_names_is_found(home: Path, uri: str, other: str) -> None:
    begun(other)
    removed = study.remove("alpha")
    assert any(other in part for part in removed.parts)
    assert names(other) == []


def test_only_the_store_that_is_named_is_left(home: Path, uri: str, other: str) -> None:
    path = begun(uri)
    begun(other, references=False)
    runs = {run.name for run in path.iterdir() if run.is_dir()}
    removed = study.remove("alpha", tracking_uri=other)
    assert any(uri in note for note in removed.notes)
    assert names(other) == [] and names(uri) == ["alpha"]
    assert len({run.name for run in path.iterdir() if run.is_dir()} & runs) == 1
    assert (path / "journal.jsonl").exists()
    assert set(runs_of(uri, "alpha")) == {"study", "stl-0", "stl-1", "ls-0"}
    assert study.remove("alpha").done
    assert not path.exists() and names(uri) == []


def test_a_store_that_never_had_it_says_who_has(home: Path, uri: str, other: str, command: Command) -> None:
    begun(uri)
    before = contents(home / "studies")
    for store in (other, f"sqlite:///{home}/typo.db"):
        code, _, err = command("rm", "alpha", "--yes", "--tracking-uri", store)
        assert code == 2 and f"is kept in {uri}, not in {store}" in err
    assert contents(home / "studies") == before
    assert not (home / "typo.db").exists()


def test_a_copy_stays_until_it_is_asked_for(home: Path, uri: str, other: str) -> None:
    begun(uri)
    study.sync("alpha", rebuild=True, tracking_uri=other)
    removed = study.remove("alpha")
    assert any(f"study rm alpha --tracking-uri {other}" in note for note in removed.notes)
    assert names(uri) == [] and names(other) == ["alpha"]
    assert len(study.open_study("alpha", other).trials) == 3
    study.remove("alpha", tracking_uri=other)
    assert names(other) == [] and not (home / "artifacts" / "alpha").exists()


def test_a_store_that_does_not_answer_keeps_everything(home: Path, uri: str) -> None:
    path = begun(uri)
    (path / "x").mkdir()
    (path / "x" / "plan.json").write_text(json.dumps({"store": "http://127.0.0.1:9"}))
    with pytest.raises(UserError, match=r"does not answer.*nothing is removed") as caught:
        study.remove("alpha")
    assert str(path) in str(caught.value)
    assert names(uri) == ["alpha"] and path.exists()


def test_a_store_whose_password_is_not_kept_must_be_named(home: Path, uri: str) -> None:
    path = begun(uri)
    (path / "x").mkdir()
    (path / "x" / "plan.json").write_text(json.dumps({"store": "postgresql://***@127.0.0.1:9/runs"}))
    with pytest.raises(UserError, match=r"whose password this machine does not keep.*--tracking-uri"):
        study.remove("alpha")
    assert names(uri) == ["alpha"]


# ----------------------------------------------------------------------------------------------------- what others use


def test_single_task_runs_that_another_study_needs_stay(home: Path, uri: str) -> None:
    begun(uri, "alpha")
    begun(uri, "beta", references=False)
    before = study.best("beta")
    removed = study.remove("alpha")
    assert any("2 single-task runs" in note and "'beta'" in note for note in removed.notes)
    assert names(uri) == ["beta"] and not exists("alpha", uri)
    assert study.best("beta") == before
    begun(uri, "alpha", references=False)  # the name is free
    study.remove("alpha")
    assert study.best("beta") == before
    study.remove("beta")
    assert set(runs_of(uri, "alpha")) == {"stl-0", "stl-1"}
    study.remove("alpha")
    assert MlflowClient(uri).get_experiment_by_name("alpha") is None


def test_single_task_runs_that_every_study_has_go(home: Path, uri: str) -> None:
    begun(uri, "alpha")
    begun(uri, "beta")
    assert study.remove("alpha").notes == ()
    assert runs_of(uri, "alpha") == {}
    assert study.best("beta")


def test_what_others_keep_in_an_experiment_of_that_name_stays(home: Path, uri: str) -> None:
    begun(uri)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("alpha").experiment_id
    theirs = client.create_run(experiment, tags={"trial": "mine", "stage": "search"}).info.run_id
    client.log_text(theirs, "x", "x.txt")
    study.remove("alpha")
    assert [run.info.run_id for run in client.search_runs([experiment])] == [theirs]
    assert [file.path for file in client.list_artifacts(theirs)] == ["x.txt"]
    begun(uri)
    assert names(uri) == ["alpha"]


def test_an_experiment_in_the_bin_goes_too(home: Path, uri: str) -> None:
    begun(uri)
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("alpha").experiment_id)
    study.remove("alpha")
    assert client.get_experiment_by_name("alpha") is None
    begun(uri)
    assert set(runs_of(uri, "alpha")) == {"study", "stl-0", "stl-1", "ls-0"}


def test_a_study_that_runs_on_another_machine_is_said_to(home: Path, uri: str) -> None:
    tracker = opened(uri, small_study("alpha"))
    tracker.start(small_trial("ls-0"))
    tracker.flush()
    shutil.rmtree(home / "studies" / "alpha")
    assert any("running, on another machine" in note for note in study.remove("alpha", yes=False).notes)
    tracker.close("interrupted", timeout_s=1)


# ------------------------------------------------------------------------------------------------------------- servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("server"))
    yield started
    started.kill()


@pytest.mark.slow
def test_a_server_puts_it_into_its_bin_and_the_name_is_free(
    server: MlflowServer, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    begun(uri)
    code, out, _ = command("rm", "alpha", "--yes")
    assert code == 0 and "in its bin until `mlflow gc`" in out
    assert names(uri) == [] and command("best", "alpha")[0] == 2
    assert command("rm", "alpha", "--yes")[0] == 2
    begun(uri)
    assert set(runs_of(uri, "alpha")) == {"study", "stl-0", "stl-1", "ls-0"}, "nothing of the earlier one is back"
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("alpha").experiment_id)
    assert command("rm", "alpha", "--yes")[0] == 0
    begun(uri)
    assert set(runs_of(uri, "alpha")) == {"study", "stl-0", "stl-1", "ls-0"}
    theirs = client.create_run(client.get_experiment_by_name("alpha").experiment_id).info.run_id
    assert command("rm", "alpha", "--yes")[0] == 0
    assert client.get_run(theirs).info.lifecycle_stage == "active"
    assert names(uri) == []


@pytest.mark.slow
@pytest.mark.parametrize("step", ["rename_experiment", "delete_experiment"])
def test_a_removal_from_a_server_that_is_killed_is_found_again(
    step: str, server: MlflowServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(server.uri, "gamma")
    shutil.rmtree(home / "studies" / "gamma")
    original = getattr(MlflowClient, step)

    def killed(*args: Any) -> None:
        original(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, killed)
        with pytest.raises(Killed):
            study.remove("gamma", tracking_uri=server.uri)
    if step == "rename_experiment":
        study.remove("gamma", tracking_uri=server.uri)
    assert "gamma" not in names(server.uri)
    client = MlflowClient(server.uri)
    active = client.search_experiments(ViewType.ACTIVE_ONLY)
    assert not [found.name for found in active if "gamma" in found.name]
