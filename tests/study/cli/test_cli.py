"""The commands on a real study, end to end: toy benchmark, Ray, Optuna, MLflow in a SQLite file, another folder."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path

import psutil
import pytest
import torch
import yaml

import study
from go4align import UserError
from study import cli
from study.cli import tables
from study.cli.console import console
from study.results import StudySummary, open_study
from study.results import studies as read_studies
from study.spec.loading import load_best_file
from study.tuning import ray_session

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the console entry point; returns exit code, stdout and stderr."""

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["study", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def store(ray_cluster: None, go4align_home: Path) -> str:
    """A tracking store that holds the finished study `toy`."""
    uri = f"sqlite:///{go4align_home / 'cli.db'}"
    study.run("toy", tracking_uri=uri)
    return uri


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command works from any folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_is_quick_and_names_every_command() -> None:
    code = (
        "import sys; from study.cli import app; assert not {'ray', 'mlflow', 'optuna'} & set(sys.modules); "
        "app(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("run", "best", "final", "train", "ls"):
        assert f" {name} " in done.stdout


def test_run_leaves_a_parent_children_and_records(store: str) -> None:
    table = open_study("toy", store).trials
    assert table.groupby("stage").size().to_dict() == {"reference": 6, "search": 12}
    assert table[table.stage == "search"].groupby("method").size().to_dict() == {"ls": 4, "famo": 4, "go4align": 4}
    assert set(table.status) <= {"finished", "stopped"}
    metrics = open_study("toy", store).metrics
    assert set(metrics[metrics.stage == "search"]["split"]) == {"val"}
    [summary] = read_studies(store)
    assert (summary.name, summary.status) == ("toy", "finished")
    first = table[(table.origin == "default")]
    assert set(first.trial) == {f"search-{method}-000" for method in ("ls", "famo", "go4align")}


def test_every_trial_has_its_memory(store: str) -> None:
    table = open_study("toy", store).trials
    assert (table.peak_host_mib > 50).all()
    assert table.peak_device_mib.notna().all() == torch.cuda.is_available()


def test_a_study_keeps_every_epoch_task_and_group(store: str) -> None:
    stored = open_study("toy", store)
    trial = "search-go4align-000"
    epochs = stored.epochs[stored.epochs.trial == trial]
    n_epochs = int(stored.trials.set_index("trial").epochs[trial])
    counts = epochs[epochs.task != ""].groupby("quantity").size().to_dict()
    kinds = ["train/group", "train/group_centre", "train/loss", "train/weight", "val/loss", "val/mae"]
    assert counts == dict.fromkeys(kinds, n_epochs * 6)
    assert set(epochs[epochs.quantity == "train/group"].value) <= {0, 1}
    shares = stored.co_assignment[stored.co_assignment.trial == trial]
    assert len(shares) == n_epochs * 6 * 6
    assert (shares[shares.task == shares.other].share == 1.0).all()


def test_best_writes_a_file_that_train_reproduces_bit_for_bit(store: str, command: Run, elsewhere: Path) -> None:
    code, out, _ = command("best", "toy", "--out", "best.yaml", "--tracking-uri", store)
    assert code == 0
    assert "study train best.yaml" in out and "study final best.yaml" in out
    frozen = load_best_file("best.yaml")
    assert sorted(c.method.name for c in frozen.configurations) == ["famo", "go4align", "ls"]
    assert [c.score for c in frozen.configurations] == sorted(c.score for c in frozen.configurations)
    for best in frozen.configurations:
        result = study.train("best.yaml", method=best.method.name)
        assert result.score == best.score, "the search's own trial, run alone"


def test_best_of_one_method(store: str, command: Run) -> None:
    code, out, _ = command("best", "toy", "--method", "famo", "--tracking-uri", store)
    assert code == 0
    assert "search-famo-" in out and "search-ls-" not in out


def test_final_runs_default_and_tuned_once_and_keeps_the_table(store: str, command: Run, elsewhere: Path) -> None:
    command("best", "toy", "--out", "best.yaml", "--tracking-uri", store)
    code, out, _ = command("final", "best.yaml", "--seeds", "2", "--tracking-uri", store)
    assert code == 0
    assert "±" in out and "MR" in out and "published" in out and "task0/mae" in out
    assert "mlflow ui --backend-store-uri" in out
    first = study.final("toy", seeds=2, tracking_uri=store)
    table = open_study("toy", store).trials
    finals = table[table.stage == "final"]
    assert len(finals) == len(set(finals.trial)), "a second `final` repeats nothing"
    assert set(finals.seed) == {101, 102}
    metrics = open_study("toy", store).metrics
    deltas = metrics[(metrics.split == "test") & (metrics.metric == "delta_m")]
    assert set(finals.trial) == set(deltas.trial)
    by_key = {row.candidate.key: row for row in first.rows}
    assert by_key["ls", "tuned"].seeds == 2
    more = study.final("toy", seeds=3, tracking_uri=store)
    assert {row.seeds for row in more.rows} == {3}
    from mlflow import MlflowClient

    parent = MlflowClient(store).get_run(finals.run_id.iloc[0]).data.tags["mlflow.parentRunId"]
    assert "final.csv" in {a.path for a in MlflowClient(store).list_artifacts(parent)}


def test_ls_lists_studies(store: str, command: Run) -> None:
    code, out, _ = command("ls", "--tracking-uri", store)
    assert code == 0
    assert "toy" in out and "finished" in out and "study best toy" in out


def test_a_study_that_exists_is_not_run_over(store: str, command: Run) -> None:
    code, _, err = command("run", "toy", "--tracking-uri", store)
    assert code == 2
    assert "'toy' exists already" in err and "study resume toy" in err and "--again" in err


def test_what_is_next_names_the_store_that_the_plan_knew(store: str, command: Run) -> None:
    code, out, _ = command("resume", "toy")
    assert code == 0
    assert "The search of 'toy' is complete." in out
    assert f"study best toy --out best.yaml --tracking-uri {store}" in out
    assert f"study final toy --tracking-uri {store}" in out


def test_again_runs_it_anew_with_the_reference_it_has(store: str, elsewhere: Path) -> None:
    uri = f"sqlite:///{elsewhere / 'again.db'}"
    content = yaml.safe_load(
        """
        name: small
        benchmark: {name: toy}
        training: {epochs: 2, batch_size: 64, lr: 0.01}
        methods: [ls]
        search_space: toy
        budget: {trials: 2}
        """
    )
    Path("small.yaml").write_text(yaml.safe_dump(content))
    first = study.run("small.yaml", tracking_uri=uri)
    second = study.run("small.yaml", tracking_uri=uri, again=True, methods="ls,uw")
    assert first.reference == second.reference
    assert {c.method.name for c in second.configurations} == {"ls", "uw"}
    table = open_study("small", uri).trials
    assert table.groupby("stage").size().to_dict() == {"search": 4}, "single-task runs are trained once per store"


@pytest.mark.slow
def test_a_removed_study_starts_anew(ray_cluster: None, command: Run, elsewhere: Path) -> None:
    uri = f"sqlite:///{elsewhere / 'rm.db'}"
    Path("doomed.yaml").write_text(
        "name: doomed\nbenchmark: {name: toy, n_tasks: 2}\ntraining: {epochs: 1, batch_size: 64, lr: 0.01}\n"
        f"methods: [ls]\nsearch_space: toy\nbudget: {{trials: 1}}\ntracking_uri: {uri}\n"
    )
    seen: list[set[str]] = []
    for _ in range(2):
        study.run("doomed.yaml")
        table = open_study("doomed", uri).trials
        assert table.groupby("stage").size().to_dict() == {"reference": 2, "search": 1}
        seen.append(set(table.run_id))
        assert command("rm", "doomed")[0] == 0, "the folder knows the file's store"
        code, out, _ = command("rm", "doomed", "--yes")
        assert code == 0 and "doomed is removed" in out
        assert "doomed" not in command("ls", "--tracking-uri", uri)[1]
        code, _, err = command("best", "doomed", "--tracking-uri", uri)
        assert code == 2 and err.count("\n") == 1
        code, _, err = command("resume", "doomed")
        assert code == 2 and "no study 'doomed' to resume" in err
    assert not seen[0] & seen[1]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["run", "toyy"], ["toyy", "Did you mean 'toy'"]),
        (["run", "absent.yaml"], ["no file 'absent.yaml'"]),
        (["run", "toy", "--methods", "ls,fmao", "--again"], ["fmao", "Did you mean 'famo'"]),
        (["run", "toy", "--tracking-uri", "ftp://x"], ["ftp://x", "sqlite:///"]),
        (["best", "toyy"], ["toyy", "Did you mean 'toy'"]),
        (["best", "toy", "--method", "fmao"], ["fmao", "Did you mean 'famo'"]),
        (["best", "toy", "--out", "no/such/folder/best.yaml"], ["no/such/folder/best.yaml", "cannot be written"]),
        (["best", "toy' or 1=1"], ["toy' or 1=1"]),
        (["final", "nope.yaml"], ["no file 'nope.yaml'"]),
        (["final", "toy", "--seeds", "0"], ["--seeds", "from 1 to"]),
        (["train", "nope.yaml"], ["no file 'nope.yaml'"]),
        (["run", "~nobody-here/a.yaml"], ["~nobody-here/a.yaml", "Check the path"]),
        (["run", "x" * 300], ["Known: "]),
        (["run", "toy", "--again", "--address", "127.0.0.1:1"], ["127.0.0.1:1", "ray start --head"]),
        (["run", "toy", "--again", "--address", "nowhere"], ["HOST:PORT"]),
        (["run", "toy", "--again", "--address", "127.0.0.1:²"], ["127.0.0.1:²", "ray start --head"]),
        (["run", "toy", "--again", "--address", f"{'a' * 70}:1"], ["ray start --head"]),
        (["run", "toy", "--tracking-uri", "sqlite:////proc/nothing/m.db"], ["/proc/nothing"]),
        (["run", "toy", "--tracking-uri", "http://[::1"], ["http://[::1"]),
        (["run", "toy", "--tracking-uri", "http://127.0.0.1:1"], ["127.0.0.1:1", "does not answer"]),
        (["sync", "toyy"], ["toyy"]),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    store: str, command: Run, args: list[str], expected: list[str]
) -> None:
    needs_store = args[0] != "train" and "--tracking-uri" not in args
    code, _, err = command(*args, *(["--tracking-uri", store] if needs_store else []))
    assert code == 2
    assert err.count("\n") == 1, err
    for part in expected:
        assert part in err


def test_a_missing_store_is_named_and_not_created(command: Run, elsewhere: Path) -> None:
    code, _, err = command("best", "toy", "--tracking-uri", f"sqlite:///{elsewhere}/typo.db")
    assert code == 2
    assert "no tracking store" in err
    assert not (elsewhere / "typo.db").exists()


def test_train_reads_a_single_configuration(elsewhere: Path, command: Run) -> None:
    Path("one.yaml").write_text(
        "benchmark: {name: toy}\nmethod: {name: uw}\ntraining: {epochs: 1, batch_size: 64, lr: 0.01}\n"
    )
    code, out, _ = command("train", "one.yaml", "--seed", "3")
    assert code == 0
    assert "epoch 1/1" in out and "task0/mae" in out and "--seed 4" in out
    assert not [key for key in study.train("one.yaml").metrics if key.startswith("test/")], "test is not read unasked"
    assert "test/task0/mae" in study.train("one.yaml", test=True).metrics
    assert dataclasses.is_dataclass(study.train("one.yaml"))


def test_functions_raise_what_commands_print() -> None:
    with pytest.raises(UserError, match="Did you mean 'toy'"):
        study.run("toyy")


def test_a_session_that_has_a_cluster_keeps_it(ray_cluster: None) -> None:
    import ray

    with ray_session():
        assert ray.is_initialized()
    assert ray.is_initialized()


@pytest.mark.slow
def test_ctrl_c_ends_the_study_in_seconds_and_leaves_nothing_running(elsewhere: Path) -> None:
    Path("long.yaml").write_text(
        "name: long\nbenchmark: {name: toy}\ntraining: {epochs: 100000, batch_size: 64, lr: 0.01}\nmethods: [ls]\n"
        "search_space: toy\nbudget: {trials: 2}\nreference: measured\n"
    )
    uri = f"sqlite:///{elsewhere / 'long.db'}"
    code = "from study.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "long.yaml", "--tracking-uri", uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _epochs_logged(uri):
        time.sleep(1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "no process of its own is left"
    table = open_study("long", uri).trials
    assert set(table.status) == {"interrupted"}
    assert read_studies(uri)[0].status == "interrupted"


def _epochs_logged(uri: str) -> bool:
    try:
        return bool((open_study("long", uri).trials.score > 0).any())
    except UserError:
        return False


def test_an_edited_frozen_file_is_refused_before_anything_starts(store: str, command: Run, elsewhere: Path) -> None:
    frozen = study.best("toy", tracking_uri=store).model_dump(mode="json")
    method, benchmark = frozen["configurations"][0]["method"], frozen["configurations"][0]["benchmark"]
    edits: list[tuple[str, dict[str, object]]] = [
        (
            "n_groups",
            {"configurations": [{**frozen["configurations"][0], "method": {"name": "go4align", "n_groups": 99}}]},
        ),
        ("each method once", {"configurations": [frozen["configurations"][0]] * 2}),
        ("task0/mae", {"reference": {**frozen["reference"], "val": {}}}),
        (
            "another `benchmark`",
            {"configurations": [{**frozen["configurations"][0], "benchmark": {**benchmark, "train_size": 99}}]},
        ),
    ]
    assert method["name"]
    for expected, edit in edits:
        Path("edited.yaml").write_text(yaml.safe_dump({**frozen, **edit}))
        code, _, err = command("final", "edited.yaml", "--tracking-uri", store)
        assert (code, err.count("\n")) == (2, 1)
        assert expected in err


def test_a_study_whose_runs_all_fail_exits_1_and_says_why(command: Run, elsewhere: Path) -> None:
    Path("diverges.yaml").write_text(
        "name: diverges\nbenchmark: {name: toy}\ntraining: {epochs: 2, batch_size: 64, lr: 1.0e+30}\nmethods: [ls]\n"
        f"search_space: {elsewhere}/space.yaml\nbudget: {{trials: 1}}\n"
    )
    Path("space.yaml").write_text(
        "benchmark: toy\ncommon: {lr: {type: float, low: 1, high: 1.0e+31, log: true}}\nmethods: {ls: {}}\n"
    )
    code, _, err = command("run", "diverges.yaml", "--tracking-uri", f"sqlite:///{elsewhere / 'd.db'}")
    assert code == 1
    assert "reference-task" in err.splitlines()[-1] and "failed" in err.splitlines()[-1]


def test_a_study_that_cannot_start_leaves_no_trace(store: str, command: Run, elsewhere: Path) -> None:
    uri = f"sqlite:///{elsewhere / 'gpu.db'}"
    Path("gpu.yaml").write_text(
        "name: gpu\nbenchmark: {name: toy}\ntraining: {epochs: 1, batch_size: 64, lr: 0.01}\nmethods: [ls]\n"
        "search_space: toy\nbudget: {trials: 1}\nresources: {gpus: 4}\n"
    )
    for _ in range(2):  # the second time, too, it is the missing GPU that is told
        code, _, err = command("run", "gpu.yaml", "--tracking-uri", uri)
        assert code == 2
        assert "4 GPUs" in err
    assert read_studies(uri) == []


def test_a_partial_final_leaves_the_studys_own_table_alone(store: str, elsewhere: Path) -> None:
    from mlflow import MlflowClient

    study.final("toy", tracking_uri=store)
    study.write_best(study.best("toy", method="ls", tracking_uri=store), Path("ls.yaml"))
    study.final("ls.yaml", seeds=1, tracking_uri=store)
    client = MlflowClient(store)
    parent = client.get_run(open_study("toy", store).trials.run_id[0]).data.tags["mlflow.parentRunId"]
    whole = Path(client.download_artifacts(parent, "final.csv", str(elsewhere))).read_text()
    assert {line.split(",")[0] for line in whole.splitlines()[1:]} == {"ls", "famo", "go4align"}


def test_tables_show_what_a_store_holds_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    summary = StudySummary("[/]:x:", datetime.now(UTC), "\x1b[2J[red]", None, 0, {}, {}, 0.0, 0.0, 0.0)
    console().print(tables.studies_table([summary]))
    out = capsys.readouterr().out
    assert "[/]:x:" in out and r"\x1b[2J[red]" in out


def test_any_terminal_shows_the_tables(store: str, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    out = TextIOWrapper(BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["study", "best", "toy", "--out", "b\udce9st.yaml", "--tracking-uri", store])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out.flush()
    assert ended.value.code == 0
    assert rb"\u0394m %" in out.buffer.getvalue() and rb"Wrote b\udce9st.yaml" in out.buffer.getvalue()


def test_sync_has_nothing_left_to_do(store: str, command: Run) -> None:
    code, out, _ = command("sync", "toy", "--tracking-uri", store)
    assert code == 0
    assert "0 events delivered, 0 left" in out


def test_sync_rebuilds_a_store(store: str, command: Run, elsewhere: Path) -> None:
    new = f"sqlite:///{elsewhere}/new.db"
    code, out, _ = command("sync", "toy", "--rebuild", "--tracking-uri", new)
    assert code == 0
    assert " 0 left" in out
    tables = [command("best", "toy", "--tracking-uri", uri)[1].partition("Next:")[0] for uri in (store, new)]
    assert tables[0] == tables[1] != ""
