"""Reading a study costs a few calls whatever its size, and changes nothing, wherever and whenever it is read."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console
from stored import end, reference_result, reference_trial, small_study, small_trial, store_in, whole_result
from trackers import opened

import study
from go4align import UserError
from study.results import FinalTable, candidates, open_study
from study.spec.search_space import SearchSpace
from study.stages.final import final_trials
from study.stages.launch import Launch
from study.stages.plan import FinalPlan, begin_plan, plan_of
from study.trials.records import Trial, TrialResult

READERS: dict[str, Callable[[str], object]] = {
    "best": lambda uri: study.best("small", tracking_uri=uri),
    "best of one": lambda uri: study.best("small", method="ls", tracking_uri=uri),
    "final": lambda uri: study.final("small", tracking_uri=uri),
    "ls": lambda uri: study.studies(tracking_uri=uri),
    "frames": lambda uri: [getattr(open_study("small", uri), frame) for frame in ("trials", "metrics", "epochs")],
}


def searched(name: str, uri: str, n_tasks: int, n_trials: int) -> None:
    """Tell a store of a study with references and search trials."""
    tracker = opened(uri, small_study(name, n_tasks=n_tasks))
    for task in range(n_tasks):
        end(tracker, reference_trial(task, n_tasks=n_tasks), reference_result(task))
    for number in range(n_trials):
        trial = small_trial(f"ls-{number}", n_tasks=n_tasks, origin="default" if number == 0 else "proposed")
        end(tracker, trial, whole_result(trial.id, 5.0 - number))
    tracker.close("finished", timeout_s=120)


def finals_of(name: str, uri: str) -> tuple[FinalPlan, list[Trial]]:
    """The final runs that `study final NAME` asks for."""
    stored = open_study(name, uri)
    best = stored.best()
    trials = final_trials(candidates(stored.study, best, stored.defaults()), stored.study.seeds.final, best.reference)
    return FinalPlan(source=name, frozen=best), trials


def final_result(trial: Trial) -> TrialResult:
    errors = {f"task{task}": 0.1 * (task + 1) + trial.seed / 1000 for task in range(2)}
    metrics = {f"test/{task}/mae": error for task, error in errors.items()}
    metrics |= {f"test/{task}/mae_change": 100 * (error - 0.5) / 0.5 for task, error in errors.items()}
    metrics |= {"test/delta_m": 1.5 + trial.seed / 1000, "test/median_change": 1.0, "epoch_s": 0.2}
    return whole_result(trial.id, -1.0, metrics=metrics)


def with_finals(home: Path, empty_store: Path) -> Path:
    """A home with the study `small`, whose final runs are all there."""
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        uri = store_in(home, empty_store)
        searched("small", uri, 2, 2)
        tracker = opened(uri, small_study("small"), study_run=open_study("small", uri).study_run)
        for trial in finals_of("small", uri)[1]:
            end(tracker, trial, final_result(trial))
        tracker.close("finished")
    return home


@pytest.fixture(scope="module")
def shared(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all tests that only read."""
    return with_finals(tmp_path_factory.mktemp("shared") / "home", empty_store)


@pytest.fixture
def home(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(shared))
    return shared


@pytest.fixture
def own(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For a test that writes."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "own"))
    return with_finals(tmp_path / "own", empty_store)


def store_of(home: Path) -> str:
    return f"sqlite:///{home}/mlflow.db"


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, when it was written, and what is in it: the store, its artifacts, the journal."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# ------------------------------------------------------------------------------------------------------ calls counted


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the client's methods that are called from outside it; further pages of a search do not count."""
    made: list[str] = []
    inside: list[str] = []

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not inside and kwargs.get("page_token") is None:
                made.append(name)
            inside.append(name)
            try:
                return method(*args, **kwargs)
            finally:
                inside.pop()

        return call

    for name, method in vars(MlflowClient).items():
        if callable(method) and not name.startswith("_"):
            monkeypatch.setattr(MlflowClient, name, counted(name, method))
    return made


def test_best_and_ls_take_as_many_calls_for_40_tasks_as_for_2(
    calls: list[str], empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    counts: dict[str, list[int]] = {"best": [], "ls": []}
    for name, n_tasks, n_trials in (("few", 2, 1), ("many", 2, 9), ("wide", 40, 2)):
        searched(name, uri, n_tasks, n_trials)
        calls.clear()
        assert len(study.best(name, tracking_uri=uri).reference.val) == n_tasks
        counts["best"].append(len(calls))
        calls.clear()
        assert name in {found.name for found in study.studies(tracking_uri=uri)}
        counts["ls"].append(len(calls))
    assert len(set(counts["best"])) == len(set(counts["ls"])) == 1, "whatever there is of tasks, trials and studies"
    assert counts["best"][0] <= 6
    assert counts["ls"][0] <= 4


# ------------------------------------------------------------------------------------------------------ nothing written


@pytest.mark.parametrize("reader", READERS)
def test_reading_leaves_everything_as_it_was(
    reader: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(home)
    assert READERS[reader](store_of(home))
    assert contents(home) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reader", READERS)
def test_reading_needs_no_home(reader: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "file" / "home"))  # where nobody can make a folder, root neither
    assert READERS[reader](store_of(shared))


@contextmanager
def running(home: Path) -> Iterator[None]:
    """Another process holds the journal's lock, as one does that runs the study."""
    code = (
        "import pathlib, sys; from go4align.disk import lock; held = lock(pathlib.Path(sys.argv[1])); "
        "held.acquire(); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(home / "studies" / "small" / "journal.lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    process.stdout.readline()
    try:
        with pytest.raises(UserError, match="Another process is running"):
            opened(store_of(home), small_study("small"))
        yield
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_reading_works_while_the_study_runs(home: Path) -> None:
    with running(home):
        before = contents(home)
        for reader in READERS.values():
            assert reader(store_of(home))
        assert contents(home) == before


# ------------------------------------------------------------------------------------------------------- final table


def test_the_final_table_is_read_from_the_frames(home: Path) -> None:
    uri = store_of(home)
    stored = open_study("small", uri)
    table = stored.final_table()
    assert table == study.final("small", tracking_uri=uri)
    assert [row.candidate.key for row in table.rows] == [("ls", "default"), ("ls", "tuned")]
    assert [row.seeds for row in table.rows] == [3, 3]
    assert [row.delta_m for row in table.rows] == pytest.approx([1.602, 1.602])
    assert table.rows[0].changes == pytest.approx({"task0/mae": -59.6, "task1/mae": -39.6})
    assert {row.seeds for row in stored.final_table(seeds=[101, 102]).rows} == {2}


def interrupted_final(home: Path, uri: str) -> str:
    """Interrupt a `study final` between its last run and the keeping of the table; returns the parent run's id."""
    stored = open_study("small", uri)
    (home / "studies" / "small" / stored.study_run).mkdir(exist_ok=True)
    lr = {"type": "float", "low": 0.001, "high": 0.1, "log": True}
    space = SearchSpace.model_validate({"benchmark": "toy", "common": {"lr": lr}, "methods": {"ls": {}}})
    plan = begin_plan(stored.study_run, uri, stored.study, space, Launch(source=f"{home}/gone.yaml"))
    plan.saved_with(searched=True, final=finals_of("small", uri)[0])
    run = MlflowClient(uri).get_run(stored.trials["run_id"][0])
    return str(run.data.tags["mlflow.parentRunId"])


def is_kept(uri: str, parent: str) -> bool:
    return "final.csv" in {file.path for file in MlflowClient(uri).list_artifacts(parent)}


def test_a_table_that_an_interrupted_final_did_not_keep_is_kept_by_the_next(own: Path) -> None:
    uri = store_of(own)
    parent = interrupted_final(own, uri)
    shown = StringIO()
    with running(own):
        table = study.final("small", tracking_uri=uri, console=Console(file=shown))
    assert isinstance(table, FinalTable)
    assert "not in the store yet: Another process is running" in " ".join(shown.getvalue().split())
    assert not is_kept(uri, parent)
    study.final("small", seeds=2, tracking_uri=uri)
    assert not is_kept(uri, parent), "that was asked for by another command"
    assert study.final("small", tracking_uri=uri) == table
    assert is_kept(uri, parent)
    plan = plan_of("small", open_study("small", uri).study_run)
    assert plan is not None
    assert plan.final is None


def test_a_final_that_was_interrupted_is_ended_by_resume(own: Path) -> None:
    uri = store_of(own)
    parent = interrupted_final(own, uri)
    assert isinstance(study.resume("small", tracking_uri=uri), FinalTable)
    assert is_kept(uri, parent)


# ------------------------------------------------------------------------------------------------------- as documented


@pytest.mark.parametrize("page", ["README.md", "docs/studies.md"])
def test_the_notebooks_way_in_is_as_it_is_written(page: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_of(home))
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "open_study" in block]
    names: dict[str, Any] = {}
    exec(code.replace("qm9-demo", "small").replace("go4align", "ls"), names)
    assert names["s"].name == "small"
    assert "finals" not in names or len(names["finals"]) == 3
