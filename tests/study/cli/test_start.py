"""What a command loads: nothing that takes seconds and that it does not need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

import go4align
import study
from go4align import training, weighting

ROOT = Path(__file__).parents[3]
RUN = """
import atexit, json, sys
from pathlib import Path
from study.cli import main
path = sys.argv[1]
sys.argv = ["study", *sys.argv[2:]]
atexit.register(lambda: Path(path).write_text(json.dumps(sorted({name.partition(".")[0] for name in sys.modules}))))
main()
"""
HEAVY = {"torch", "ray", "mlflow", "optuna", "pandas", "pydantic", "numpy", "sqlalchemy", "sklearn"}


class Loaded:
    """Runs a command in a process of its own, which says what it has imported at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, **environment: str) -> tuple[set[str], str]:
        path = self.folder / "loaded.json"
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(path), *arguments],
            env={**os.environ, "GO4ALIGN_HOME": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return set(json.loads(path.read_text())), done.stdout


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return Loaded(tmp_path)


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store, and this machine's journal, with the study `alpha`."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", 5.0))
    tracker.close("finished")
    return uri


def test_help_loads_nothing_heavy(loaded: Loaded) -> None:
    modules, shown = loaded("--help")
    assert "Usage: study" in shown
    assert not HEAVY & modules


def test_help_on_a_command_loads_nothing_heavy(loaded: Loaded) -> None:
    modules, shown = loaded("launch", "--help")
    assert "Usage: study launch" in shown
    assert not (HEAVY - {"pydantic"}) & modules, "pydantic is what typer reads arguments with"


def test_ls_loads_mlflow_alone(loaded: Loaded, store: str) -> None:
    modules, shown = loaded("ls", "--tracking-uri", store)
    assert "alpha" in shown
    assert "mlflow" in modules
    assert not {"torch", "ray", "optuna"} & modules


def test_rm_loads_mlflow_alone(loaded: Loaded, store: str) -> None:
    for arguments in ([], ["--yes"]):
        modules, shown = loaded("rm", "alpha", *arguments, "--tracking-uri", store)
        assert "alpha" in shown
        assert "mlflow" in modules
        assert not {"torch", "ray", "optuna"} & modules


def test_sync_loads_mlflow_alone(loaded: Loaded, store: str, empty_store: Path, tmp_path: Path) -> None:
    copy(empty_store, tmp_path / "new.db")
    modules, shown = loaded("sync", "alpha", "--rebuild", "--tracking-uri", f"sqlite:///{tmp_path}/new.db")
    assert " 0 left" in shown
    assert "mlflow" in modules
    assert not {"torch", "ray", "optuna"} & modules


def test_down_loads_the_cluster_launcher_alone(loaded: Loaded) -> None:
    modules, shown = loaded("down", str(ROOT / "clusters/on-premise.yaml"), "--dry-run")
    assert "ray down" in shown
    assert "ray" in modules
    assert not {"torch", "mlflow", "optuna"} & modules


def test_completion_loads_nothing_heavy(loaded: Loaded) -> None:
    modules, shown = loaded(_STUDY_COMPLETE="complete_bash", COMP_WORDS="study run toy --methods fa", COMP_CWORD="4")
    assert shown.split() == ["famo"]
    assert not (HEAVY - {"pydantic"}) & modules


@pytest.mark.parametrize("package", [go4align, training, weighting, study], ids=lambda package: package.__name__)
def test_every_lazy_name_is_there(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]  # a package of ours
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        package.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_the_commands_as_functions_load_nothing_that_reports_alone_need() -> None:
    script = "import json, sys, study.api, study.cli.tables; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"scipy", "sklearn", "matplotlib", "plotly", "jinja2", "torch", "ray", "mlflow"}
