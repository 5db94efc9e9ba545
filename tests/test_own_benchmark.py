"""docs/own-benchmark.md, as it is written: its files, its commands, in a folder outside this repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-benchmark.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`[^\n]*:\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = re.search(r"^```bash\n(.*?)^```", PAGE, re.M | re.S).group(1).splitlines()
NETWORK = """
from torch import nn
from go4align import MultiTaskModel

class Wide(MultiTaskModel):
    def __init__(self, benchmark, width=8, inputs=8):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, width), nn.ReLU())
        self.heads = nn.Linear(width, benchmark.n_tasks)

    def encode(self, batch):
        return self.trunk(batch.inputs)

    def decode(self, representation):
        return self.heads(representation)

    def shared_parameters(self):
        return list(self.trunk.parameters())

class Deaf(Wide):
    def __init__(self, benchmark):
        super().__init__(benchmark)
        self.unused = nn.Linear(2, 2)

    def shared_parameters(self):
        return list(self.parameters())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's folder, its package installed beside it (what `pip install -e .` does, without a network)."""
    folder = tmp_path_factory.mktemp("own")
    for name, content in FILES.items():
        (folder / name).write_text(content)
    (folder / "my_networks.py").write_text(NETWORK)
    offline = ["--no-build-isolation", "--no-deps", "--quiet", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "."], cwd=folder, check=True, timeout=120)
    return folder


def run(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = [str(folder / "site"), str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    program = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": f"{program}{os.pathsep}{os.environ['PATH']}",
        "GO4ALIGN_HOME": str(folder / "home"),
        **environment,
    }
    shell = ["bash", "-c", command]
    return subprocess.run(shell, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=580)


def test_the_page_has_four_files_and_a_class_of_under_sixty_lines_of_benchmark() -> None:
    assert list(FILES) == ["diabetes_tasks.py", "pyproject.toml", "space.yaml", "diabetes.yaml"]
    lines = FILES["diabetes_tasks.py"].partition("class Diabetes")[2].splitlines()
    assert len(lines) < 60
    assert COMMANDS[0] == "pip install -e ."


@pytest.mark.slow
def test_its_commands_run_as_they_are_written(folder: Path) -> None:
    for command in COMMANDS[1:]:
        done = run(folder, command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "diabetes: best configuration of each method" in done.stdout


def study(folder: Path, network: str) -> str:
    text = FILES["diabetes.yaml"].replace("{name: diabetes}", f"{{name: diabetes, network: {network}}}")
    path = folder / "network.yaml"
    path.write_text(text.replace("name: diabetes\n", "name: with-network\n", 1))
    return f"study run {path.name}"


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ('"my_networks:Wider"', r"`network` must name a class that can be imported.*'my_networks:Wider'.*PYTHONPATH"),
        ('"nowhere:Wide"', "No module named 'nowhere'"),
        ('"json:loads"', "must name a subclass of go4align.MultiTaskModel, found json:loads"),
        ('{name: "my_networks:Wide", depth: 2}', "called with the benchmark and its options.*'depth'"),
        ('{name: "my_networks:Wide", inputs: 9}', "does not fit the benchmark 'diabetes'.*RuntimeError"),
        ('"my_networks:Deaf"', "the loss of 'progress' must depend on every parameter"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line_before_anything_starts(folder: Path, network: str, told: str) -> None:
    done = run(folder, study(folder, network))
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(told, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Starting Ray" not in done.stdout


@pytest.mark.slow
def test_an_own_network_trains_in_rays_workers(folder: Path) -> None:
    done = run(folder, study(folder, '{name: "my_networks:Wide", width: 12}'))
    assert done.returncode == 0, done.stdout + done.stderr


def test_entry_points_that_are_wrong_are_one_line_and_are_listed_without_an_import(folder: Path) -> None:
    broken = folder / "broken" / "broken_things-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-things\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text(
        "[go4align.benchmarks]\nabsent = nowhere:Thing\nnumber = math:pi\ntoy = math:pi\n"
        "other = diabetes_tasks:Diabetes\n"
    )
    names = "from go4align.benchmarks.registry import *; print(*available_benchmarks())"
    paths = os.pathsep.join([str(folder / "broken"), str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    listed = run(folder, f'python -c "{names}"', PYTHONPATH=paths).stdout.split()
    assert listed[-4:] == ["diabetes", "absent", "number", "other"] or set(listed) >= {"absent", "number", "other"}
    assert listed.count("toy") == 1
    for name, told in {
        "absent": "The benchmark 'absent' of the package broken-things .* cannot be imported: ModuleNotFoundError",
        "number": "must be a subclass of go4align.Benchmark, found 3.14",
        "other": "must have that name, found `name` = 'diabetes'",
        "diabete": "Unknown benchmark 'diabete'. Did you mean 'diabetes'",
    }.items():
        done = run(folder, f"study data {name} --root .", PYTHONPATH=paths)
        assert done.returncode == 2
        assert re.search(told, done.stderr), done.stderr
