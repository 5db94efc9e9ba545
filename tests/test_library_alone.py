"""The library where nothing is installed but what it requires, and what `study` says there."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import study

ROOT = Path(__file__).parents[1]
PAGES = [page for page in ("README.md", "docs/your-loop.md") if (ROOT / page).exists()]
COMMAND = r"`study` needs the extra of that name \(not installed: \w.+\): pip install 'go4align-study\[study\]'"
FINDER = """
import sys
from importlib.machinery import PathFinder

class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {absent} else super().find_spec(name, path, target)

sys.meta_path = [Installed if finder is PathFinder else finder for finder in sys.meta_path]
"""
LOOP = """
import pkgutil
from importlib import import_module
import torch
import go4align

for module in pkgutil.walk_packages(go4align.__path__, "go4align."):
    if module.name.rpartition(".")[2] not in ("fused_kmeans", "fused_indicator"):  # asked for where Triton is
        import_module(module.name)
for name in go4align.__all__:
    getattr(go4align, name)

torch.manual_seed(0)
inputs = torch.randn(32, 8)
targets = inputs @ torch.randn(8, 3)
for method in go4align.available_methods():
    model = torch.nn.Linear(8, 3)
    weighting = go4align.build_weighting(method, n_tasks=3)
    optimizer = torch.optim.Adam([{"params": model.parameters()}, *weighting.parameter_groups()], lr=0.05)
    sums = []
    for _ in range(20):
        losses = (model(inputs) - targets).square().mean(0)
        optimizer.zero_grad()
        weighting.backward(losses, shared_parameters=model.parameters())
        optimizer.step()
        if weighting.needs_losses_after:
            weighting.after_step((model(inputs) - targets).square().mean(0))
        sums.append(float(losses.detach().sum()))
    assert sums[-1] < sums[0], (method, sums)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def with_dependencies(names: list[str]) -> set[str]:
    """Distributions, and what they require in turn, as it is installed here."""
    found: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name not in found:
            found.add(name)
            required = map(Requirement, requires(name) or [])
            names += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def absent_modules() -> set[str]:
    """Modules that are installed here, and not where the library was installed alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    present = with_dependencies([Requirement(line).name for line in project["dependencies"]])
    installed = packages_distributions()
    absent = {
        module for module, names in installed.items() if not present & {canonicalize_name(name) for name in names}
    }
    return absent - {"go4align", "study", "search_spaces"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command that finds only those packages; Python runs `sitecustomize` before anything else."""
    absent = absent_modules()
    assert {"kmeans_pytorch", "mlflow", "optuna", "pandas", "pyarrow", "ray", "rich", "scipy", "sklearn"} <= absent
    folder = tmp_path_factory.mktemp("alone")
    (folder / "sitecustomize.py").write_text(FINDER.format(absent=absent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)

    return run


def test_every_module_and_name_is_there_and_every_method_trains(alone: Run) -> None:
    done = alone(sys.executable, "-W", "error", "-c", LOOP)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_the_plain_loop_of_a_page_runs(page: str, alone: Run) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    plain = next(code for code in blocks if "import torch" in code)
    done = alone(sys.executable, "-W", "error", "-c", plain)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [Path(sys.executable).with_name("study")],
        [Path(sys.executable).with_name("study"), "run", "toy"],
        [sys.executable, "-m", "study.cli", "--help"],
    ],
)
def test_the_command_is_one_line_that_says_what_installs_it(command: list[str | Path], alone: Run) -> None:
    done = alone(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"study: {COMMAND}\n", done.stderr)


def test_every_name_of_study_says_it_too(alone: Run) -> None:
    code = (
        "import study\n"
        "from go4align import UserError\n"
        "for name in study.__all__:\n"
        "    try:\n"
        "        getattr(study, name)\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    done = alone(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(study.__all__)
    assert all(re.fullmatch(COMMAND, line) for line in said)
