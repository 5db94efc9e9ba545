"""docs/own-parts.md, as it is written: its files, its commands, its loop; and entry points that are wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-parts.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`[^\n]*:\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = re.search(r"^```bash\n(.*?)^```", PAGE, re.M | re.S).group(1).splitlines()
LOOP = re.search(r"^No name is needed there:\n\n```python\n(.*?)^```", PAGE, re.M | re.S).group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's folder, its package installed beside it (what `pip install -e .` does, without a network)."""
    folder = tmp_path_factory.mktemp("parts")
    for name, content in FILES.items():
        (folder / name).write_text(content)
    offline = ["--no-build-isolation", "--no-deps", "--quiet", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "."], cwd=folder, check=True, timeout=120)
    return folder


def run(folder: Path, command: str, *before: Path) -> subprocess.CompletedProcess[str]:
    paths = [*map(str, before), str(folder / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    program = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": f"{program}{os.pathsep}{os.environ['PATH']}",
        "GO4ALIGN_HOME": str(folder / "home"),
    }
    shell = ["bash", "-c", command]
    return subprocess.run(shell, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=580)


def package(folder: Path, name: str, version: str, entry_points: str) -> Path:
    """A folder with what an installed package says of itself."""
    told = folder / f"{name}-{version}" / f"{name.replace('-', '_')}-{version}.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (told / "entry_points.txt").write_text(entry_points)
    return told.parent


def test_the_page_has_five_files() -> None:
    assert list(FILES) == ["my_parts.py", "pyproject.toml", "test_my_parts.py", "space.yaml", "own-parts.yaml"]
    assert COMMANDS[0] == "pip install -e ."


def test_the_checks_and_the_loop_run_as_they_are_written(folder: Path) -> None:
    done = run(folder, f"{COMMANDS[1]} -p no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "loop.py").write_text(
        "import torch\nshared = [torch.nn.Parameter(torch.ones(3))]\nlosses = shared[0] * torch.tensor([1.0, 2, 9])\n"
        f"{LOOP}print(record.labels.tolist(), shared[0].grad.tolist())\n"
    )
    done = run(folder, "python loop.py")
    assert done.stdout == "[0, 1, 1] [1.0, 2.0, 9.0]\n", done.stdout + done.stderr


@pytest.mark.slow
def test_the_study_runs_with_parts_by_their_names(folder: Path) -> None:
    done = run(folder, COMMANDS[2])
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("remaining", "grouped", "by-gradients"):
        assert re.search(rf"{name}\b", done.stdout), done.stdout
    entry_points = next((folder / "site").glob("my_parts-*/entry_points.txt")).read_text()
    other = package(folder, "my-parts", "0.2", entry_points)
    done = run(folder, "study resume own-parts", other)
    assert done.returncode == 2
    assert re.search(r"was started otherwise: .*my-parts 0\.1 -> my-parts 0\.2", done.stderr), done.stderr


WRONG = """
[go4align.weightings]
absent = nowhere:Thing
number = math:pi
ls = my_parts:Remaining
remaining = my_parts:EqualSizes
torchjd.upgrad = my_parts:Remaining
[go4align.groupings]
broken = nowhere:Thing
exact = my_parts:EqualSizes
benchmark = go4align.weighting:RiskGuided
[go4align.indicators]
also = my_parts:Remaining
"""
BUILD = """
from go4align import UserError, available_methods, build_weighting
from go4align.grouping import available_clusterings
from go4align.weighting import available_indicators
names = available_methods(), available_clusterings(), available_indicators()
assert all(len(set(found)) == len(found) for found in names)
assert {"absent", "number", "remaining"} <= set(names[0]) and {"broken", "equal_sizes"} <= set(names[1])
assert {"also", "remaining"} <= set(names[2])
build_weighting("famo", 3)
build_weighting("go4align", 3, indicator="also", clustering="equal_sizes")
for name, options in (
    ("absent", {}), ("number", {}), ("ls", {}), ("remaining", {}), ("remainin", {}), ("torchjd.upgrad", {}),
    *(("go4align", {"clustering": clustering}) for clustering in ("broken", "exact", "benchmark", "brocken")),
    ("go4align", {"indicator": "absent"}), ("go4align", {"clustering": "spectral", "indicator": "remaining"}),
):
    try:
        build_weighting(name, 3, **options)
    except UserError as error:
        print(error)
"""
TOLD = [
    r"The method 'absent' of the package wrong-parts \(nowhere:Thing\) cannot be imported: ModuleNotFoundError: .*",
    r"The method 'number' of the package wrong-parts .* must be a subclass of go4align.Weighting, found 3\..*",
    r"The method 'ls' of the package wrong-parts .* must have a name of its own, found that of one of go4.*",
    r"The method 'remaining' must be registered once, found it in .*-parts .* and .*-parts .*\. Uninstall one.*",
    r"Unknown method 'remainin'\. Did you mean 'remaining'\? .*",
    r"The method 'torchjd.upgrad' of the package wrong-parts .* name of its own, found one in 'torchjd\.'\. Rename.*",
    r"The clustering 'broken' of the package wrong-parts .* cannot be imported: .*",
    r"The clustering 'exact' of the package wrong-parts .* must have a name of its own, .*",
    r"The clustering 'benchmark' .* must be a subclass of go4align.Grouping, found <class .*RiskGuided.*",
    r"Unknown clustering 'brocken'\. Did you mean 'broken'\? .*",
    r"The indicator 'absent' of the package wrong-parts .* cannot be imported: .*",
    r"The indicator 'remaining' must be registered once, .*",
]


def test_entry_points_that_are_wrong_are_one_line_each(folder: Path) -> None:
    (folder / "build.py").write_text(BUILD)
    done = run(folder, "python build.py", package(folder, "wrong-parts", "1.0", WRONG))
    lines = done.stdout.splitlines()
    assert len(lines) == len(TOLD), done.stdout + done.stderr
    for line, told in zip(lines, TOLD, strict=True):
        assert re.fullmatch(told, line), line


SECTION = """
import sys
from study.spec.configuration import MethodSection
print("torch" in sys.modules)
section = MethodSection(name="go4align", indicator="remaining", clustering="equal_sizes")
print(MethodSection(name="go4align").provenance, section.provenance, section.written_out["provenance"])
stored = MethodSection.model_validate_json(section.model_dump_json().replace("my-parts 0.1", "my-parts 0.3"))
section.check(["a", "b"])
stored.check(["a", "b"])
"""


def test_the_package_and_its_version_are_part_of_a_configuration(folder: Path) -> None:
    (folder / "section.py").write_text(SECTION)
    done = run(folder, "python section.py")
    assert done.stdout.splitlines() == ["False", "None my-parts 0.1 my-parts 0.1"], done.stderr
    assert "'go4align' must come from my-parts 0.3, found my-parts 0.1 here. Install the same version." in done.stderr
