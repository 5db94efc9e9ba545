"""What users get: light imports, and a wheel that carries its data."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = ["search_spaces/*.yaml", "study/presets/*.yaml", "go4align/py.typed", "study/py.typed"]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed; its error output is part of the failure message."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_library_import_is_light(tmp_path: Path) -> None:
    heavy = "{'ray', 'mlflow', 'optuna', 'rdkit', 'torch_geometric', 'study'}"
    loaded = run(sys.executable, "-c", f"import sys, go4align; print(*{heavy} & set(sys.modules))", cwd=tmp_path)
    assert loaded.split() == []


@pytest.mark.parametrize("package", ["search_spaces", "study.presets"])
def test_data_is_found_from_any_folder(package: str, tmp_path: Path) -> None:
    folder = ROOT / package.replace(".", "/")
    names = f"from importlib.resources import files; print(*sorted(p.name for p in files({package!r}).iterdir()))"
    found = {name for name in run(sys.executable, "-c", names, cwd=tmp_path).split() if name.endswith(".yaml")}
    assert found == {path.name for path in folder.glob("*.yaml")} != set()


def test_command_runs_from_any_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("study")
    assert "Usage" in run(command, "--help", cwd=tmp_path)


def test_wheel_carries_its_data(tmp_path: Path) -> None:
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(sys.executable, *build, "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("go4align_study-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in DATA:
        expected = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}
        assert expected, f"nothing matches {pattern}"
        assert expected <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"go4align", "study", "search_spaces"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
