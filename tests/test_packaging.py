"""What users get: light imports, a wheel that carries its data, and the packages that its code imports."""

import ast
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from study.extra import PACKAGES

ROOT = Path(__file__).parents[1]
OWN = {"go4align", "study", "search_spaces"}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "pydantic_core": "pydantic",
    "scs": "cvxpy",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Where it is not the module's own name."""
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(sys.executable, *build, "--wheel-dir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("go4align_study-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_carries_its_data(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    for pattern in DATA:
        expected = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}
        assert expected, f"nothing matches {pattern}"
        assert expected <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == OWN
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


class Imports(ast.NodeVisitor):
    """The modules of others that a package imports when it runs.

    Attributes:
        all: of them.
        optional: what it says the command for where they are missing: imported where an ImportError is caught, or asked
            for by `require`.
    """

    def __init__(self, package: str) -> None:
        self.all: set[str] = set()
        self.optional: set[str] = set()
        self._guarded = False
        for path in (ROOT / package).rglob("*.py"):
            self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_Import(self, node: ast.Import) -> None:
        self._add(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._add([str(node.module)])

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
        outside = self._guarded
        self._guarded = outside or "ImportError" in caught
        for statement in node.body:
            self.visit(statement)
        self._guarded = outside
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) == "require":
            self.optional |= {ast.literal_eval(name) for name in node.args}
        self.generic_visit(node)

    def _add(self, names: Iterable[str]) -> None:
        found = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OWN
        self.all |= found
        if self._guarded:
            self.optional |= found


def distributions(modules: Iterable[str]) -> set[str]:
    return {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in modules}


@pytest.fixture(scope="module")
def required(wheel: zipfile.ZipFile) -> dict[str, set[str]]:
    """What the wheel's metadata require, by extra; "" is the library alone."""
    [path] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    found = defaultdict(set)
    for line in message_from_bytes(wheel.read(path)).get_all("Requires-Dist"):
        requirement = Requirement(line)
        extra = re.search(r"""extra == ["'](\w+)["']""", str(requirement.marker))
        found[extra[1] if extra else ""].add(canonicalize_name(requirement.name))
    return dict(found)


def test_the_library_requires_what_it_imports(required: dict[str, set[str]]) -> None:
    imports = Imports("go4align")
    with_torch = {"triton"}  # comes with a GPU's torch, and is not asked for elsewhere
    assert required[""] == distributions(imports.all - imports.optional - with_torch)
    extras = set().union(*(names for extra, names in required.items() if extra not in {"", "dev"}))
    assert distributions(imports.optional) <= extras


def test_the_extra_study_is_what_study_imports_beyond(required: dict[str, set[str]]) -> None:
    modules = Imports("study").all | {"cmaes"}  # which Optuna imports, for the sampler of that name
    assert required["study"] == distributions(modules) - required[""]
    assert set(PACKAGES) == {name for name in modules if not distributions([name]) & required[""]}


def test_who_runs_studies_installs_the_extra(required: dict[str, set[str]]) -> None:
    installs = [
        "Makefile",
        "README.md",
        "cluster.yaml",
        "clusters/gcp.yaml",
        "clusters/on-premise.yaml",
        "clusters/Dockerfile",
    ]
    for file in installs:
        found = re.findall(r"'\.\[([\w,]+)\]'", (ROOT / file).read_text(encoding="utf-8"))
        assert found, f"{file} installs nothing"
        for extras in found:
            assert {"study"} <= set(extras.split(",")) <= set(required), file
