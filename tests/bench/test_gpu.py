"""The benchmark of accelerators, reduced on a CPU: its table, what it does without, and how it goes on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from go4align import available_methods

ROOT = Path(__file__).parents[2]
ABSENT = """
import runpy, sys
for name in {absent}:
    sys.modules[name] = None  # importing it raises ImportError, as where it is not installed
sys.path.insert(0, "bench")
sys.argv[0] = "bench/gpu.py"
runpy.run_path("bench/gpu.py", run_name="__main__")
"""
NOT_NEEDED = (
    "cvxpy", "hypothesis", "kmeans_pytorch", "mlflow", "optuna", "pandas", "pyarrow", "pydantic", "pytest", "qm9pack",
    "ray", "rdkit", "rich", "scipy", "sklearn", "torch_geometric", "torchjd", "tqdm", "typer", "yaml",
)  # fmt: skip
ROW = re.compile(r"\| (\w+) \| (\d+\.\d\d) \| (\d+\.\d\d) \| (\d+\.\d\d) \| (\d+\.\d\d) \| - \|")


def run(folder: Path, *options: str, absent: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ABSENT.format(absent=absent), "--folder", str(folder), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)


def rows(shown: str) -> dict[str, list[float]]:
    found = [ROW.fullmatch(line) for line in shown.splitlines()]
    return {match[1]: [float(cell) for cell in match.groups()[1:]] for match in found if match}


@pytest.mark.slow
def test_torch_and_numpy_are_enough_and_a_second_run_goes_on(tmp_path: Path) -> None:
    alone = run(tmp_path, "--benchmarks", "qm9", absent=NOT_NEEDED)
    assert alone.returncode == 0, alone.stderr
    lines = alone.stdout.splitlines()
    assert re.fullmatch(r"cpu \S+, torch \d+\.\d+\S+, commit \S+, reduced", lines[0])
    assert lines[1] == "GO4Align's step: by operations"
    assert lines[2].startswith("Library tests on the device: not run, missing: pytest, ")
    assert "| method | step, ms | x LS | epoch, s | x LS | peak of a step, MiB |" in lines
    table = rows(alone.stdout)
    unmeasured = set(re.findall(r"^(\w+) is left out: ModuleNotFoundError: .*torchjd", alone.stdout, re.MULTILINE))
    assert unmeasured and not unmeasured & set(table) and unmeasured | set(table) == set(available_methods())
    assert all(cell > 0 for cells in table.values() for cell in cells)

    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(kept) == {f"qm9-{method}.json" for method in table}
    whole = run(tmp_path, "--benchmarks", "qm9")
    assert whole.returncode == 0, whole.stderr
    assert {name: (tmp_path / name).read_text() for name in kept} == kept
    assert re.search(r"^Library tests on the device: \d+ passed in ", whole.stdout, re.MULTILINE)
    assert set(rows(whole.stdout)) == set(available_methods())
    assert table.items() <= rows(whole.stdout).items()


@pytest.mark.slow
def test_the_benchmarks_of_images_are_measured_too(tmp_path: Path) -> None:
    names = ("nyuv2", "cityscapes", "celeba")
    shown = run(tmp_path, "--benchmarks", *names, "--methods", "ls", "go4align", absent=("pytest",))
    assert shown.returncode == 0, shown.stderr
    tables = re.split(r"^(\w+): batch .*$", shown.stdout, flags=re.MULTILINE)[1:]
    assert tuple(tables[::2]) == names
    assert all(set(rows(table)) == {"ls", "go4align"} for table in tables[1::2])


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    wrong = run(tmp_path, "--device", "gpu")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert "--device must name a device that torch can use here, found 'gpu'" in wrong.stderr
    assert not list(tmp_path.iterdir())
