"""HOUSE: how the code is laid out and what a start costs, measured anew beside the reading of commit 3b57533.

    python bench/house.py [--quick]

Every row prints what was found then and what is found now; a command that fails ends its own row only. `--quick` leaves
out the rows that train small studies to count MLflow's calls (two or three minutes). Commands run in a home folder of
their own, which is removed afterwards.
"""

import argparse
import ast
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ("go4align", "study")
HEAVY = ("torch", "ray", "mlflow", "optuna", "pandas", "sqlalchemy", "numpy", "pydantic", "typer", "rich")

BEFORE = {
    "doors of study/": "37",
    "doors with a layer in pyproject.toml": "14 of 37",
    "study file read / benchmarks built before Ray starts, `study run qm9`": "3 / 61",
    "MLflow calls of `study best`, 11 tasks": "42",
    "MLflow calls of `study best`, 40 tasks": "129",
    "modules on the walk of a study file": "14",
    "forms on the walk of a study file": "10",
    "parallel assignments per 1,000 lines": "12",
    "`from study.cli import app`, x importing typer and rich": "18 (with pydantic)",
    "`study --help`, x importing typer and rich": "about 18",
    "packages that `study --help` loads": "torch and all that it needs",
    "packages that `study ls` loads": "not taken",
}
"""As read and measured at commit 3b57533, before study/ had rooms; of times the ratios, as the machine was busy."""

WALK = (
    ("study/cli/studies.py", "run", "Launch"),
    ("study/stages/prepared.py", "to_run", "Launch"),
    ("study/stages/launch.py", "Launch", "Launch"),
    ("study/spec/loading.py", "read_study", "dict"),
    ("study/spec/yaml.py", "read_yaml", "dict"),
    ("study/spec/study_file.py", "StudyFile", "StudyFile"),
    ("study/api.py", "run", "StudyFile"),
    ("study/stages/search.py", "run_search", "StudyFile"),
    ("study/search/source.py", "OptunaSearch", "StudyFile"),
    ("study/spec/configuration.py", "Configuration", "Configuration in a Trial"),
    ("study/tuning/driver.py", "Driver", "Configuration in a Trial"),
    ("study/tuning/pool.py", "run_trials", "Tune's dict"),
    ("study/trials/alone.py", "run_alone", "Configuration in a Trial"),
)
"""From `study run` to the training step: file, what takes the study there, and in which form. Told by reading; a line
whose file or name is gone ends that measurement, so that the walk is read again when the code changes."""

CALL = "from study.cli import main; main()"


class NotTakenError(Exception):
    """A measurement that could not be taken: the code has changed, or a command failed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    print("| | before (3b57533) | now |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in measures(Path(folder)).items():
            if not (quick and name.startswith("MLflow calls")):
                print(f"| {name} | {BEFORE[name]} | {found(measure)} |", flush=True)


def found(measure: Callable[[], object]) -> object:
    try:
        return measure()
    except NotTakenError as reason:
        return f"not taken: {reason}"


def measures(folder: Path) -> dict[str, Callable[[], object]]:
    """By the names of `BEFORE`."""
    plain = functools.cache(lambda: seconds(folder, "import typer, rich"))
    shown = f"import sys; sys.argv = ['study', '--help']; {CALL}"
    return {
        "doors of study/": lambda: len(doors()),
        "doors with a layer in pyproject.toml": lambda: f"{len(doors() & layered())} of {len(doors())}",
        "study file read / benchmarks built before Ray starts, `study run qm9`": lambda: " / ".join(
            probe(folder, "start", "run", "qm9")
        ),
        "MLflow calls of `study best`, 11 tasks": lambda: calls_of_best(folder, 11),
        "MLflow calls of `study best`, 40 tasks": lambda: calls_of_best(folder, 40),
        "modules on the walk of a study file": lambda: len({file for file, _, _ in checked_walk()}),
        "forms on the walk of a study file": lambda: len({form for _, _, form in checked_walk()}),
        "parallel assignments per 1,000 lines": lambda: f"{parallel_assignments():.1f}",
        "`from study.cli import app`, x importing typer and rich": lambda: (
            f"{seconds(folder, 'from study.cli import app') / plain():.1f}"
        ),
        "`study --help`, x importing typer and rich": lambda: f"{seconds(folder, shown) / plain():.1f}",
        "packages that `study --help` loads": lambda: ", ".join(probe(folder, "packages", "--help")),
        "packages that `study ls` loads": lambda: ", ".join(probe(folder, "packages", "ls")),
    }


def doors() -> set[str]:
    """What stands at the top of study/: modules, and folders that hold modules."""
    entries = (ROOT / "study").iterdir()
    found = {path.stem for path in entries if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}
    return found - {"__init__"}


def layered() -> set[str]:
    """The names in the layers of study's import contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [contract["layers"] for contract in settings["contracts"] if contract.get("containers") == ["study"]]
    return {name.strip("() ") for names in layers for layer in names for name in layer.replace(":", "|").split("|")}


def checked_walk() -> tuple[tuple[str, str, str], ...]:
    for file, name, _ in WALK:
        path = ROOT / file
        nodes = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
        if name not in {getattr(node, "name", None) for node in nodes}:
            raise NotTakenError(f"{file} has no `{name}` any more; read the walk anew and mend WALK")
    return WALK


def parallel_assignments() -> float:
    """`a, b = x, y`, with as many values as names, per 1,000 lines of the packages."""
    texts = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = sum(is_parallel(node) for text in texts for node in ast.walk(ast.parse(text)))
    return 1000 * found / sum(text.count("\n") for text in texts)


def is_parallel(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple)


def seconds(folder: Path, code: str) -> float:
    """Median of five fresh processes, the first of which only fills caches."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        python(folder, code)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def calls_of_best(folder: Path, n_tasks: int) -> int:
    """Calls of MLflow's client by `study best`, after a study of one trial a method with measured references."""
    study: dict[str, Any] = {
        "name": f"house-{n_tasks}",
        "benchmark": {"name": "toy", "n_tasks": n_tasks, "train_size": 64, "val_size": 32, "test_size": 32},
        "training": {"epochs": 1, "batch_size": 64, "lr": 0.01},
        "methods": ["ls", "go4align"],
        "search_space": "toy",
        "budget": {"trials": 1},
    }
    file = folder / f"{study['name']}.yaml"
    file.write_text(yaml.safe_dump(study))
    python(folder, f"import sys; sys.argv = ['study', 'run', {str(file)!r}]; {CALL}")
    [calls] = probe(folder, "calls", "best", study["name"])
    return int(calls)


def probe(folder: Path, kind: str, *arguments: str) -> list[str]:
    """What `study ARGUMENTS` does, seen by a function of this module in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r}); import house; house.{kind}({list(arguments)!r})"
    marked = [line for line in python(folder, code).splitlines() if line.startswith("HOUSE ")]
    if not marked:
        raise NotTakenError("the command ended before it came to what is measured")
    return marked[-1].split()[1:]


def python(folder: Path, code: str) -> str:
    environment = os.environ | {
        "GO4ALIGN_HOME": str(folder / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.stderr.write(f"{code}\n{run.stderr}")
        raise NotTakenError("a command failed, see above")
    return run.stdout


def command(arguments: list[str]) -> None:
    """The `study` command in this process."""
    from study.cli import main as study

    sys.argv = ["study", *arguments]
    study()


def start(arguments: list[str]) -> None:
    """Probe: prints how often a preset is opened and its QM9 built until Ray is to start, and ends there."""
    import ray

    from go4align.benchmarks.qm9 import QM9

    opened: list[str] = []
    built: list[QM9] = []
    preset = str(Path("study", "presets", f"{arguments[-1]}.yaml"))
    plain = QM9.__init__

    def note(event: str, values: tuple[object, ...]) -> None:
        if event == "open" and str(values[0]).endswith(preset):
            opened.append(preset)

    @functools.wraps(plain)  # its signature names the benchmark's options
    def counted(self: QM9, **options: Any) -> None:
        built.append(self)
        plain(self, **options)

    def told(*_: object, **__: object) -> None:
        print("HOUSE", len(opened), len(built), flush=True)
        os._exit(0)

    sys.addaudithook(note)
    QM9.__init__ = counted  # type: ignore[method-assign]
    ray.init = told
    command(arguments)


def calls(arguments: list[str]) -> None:
    """Probe: prints how many calls of MLflow's client a command makes, calls within calls not counted."""
    from mlflow import MlflowClient

    made: list[str] = []
    within: list[str] = []

    def counted(name: str, method: Any) -> Any:
        def call(*values: Any, **options: Any) -> Any:
            if not within:
                made.append(name)
            within.append(name)
            try:
                return method(*values, **options)
            finally:
                within.pop()

        return call

    for name, method in vars(MlflowClient).items():
        if callable(method) and not name.startswith("_"):
            setattr(MlflowClient, name, counted(name, method))
    finished(arguments)
    print("HOUSE", len(made))


def packages(arguments: list[str]) -> None:
    """Probe: prints which of the heavy packages a command loads."""
    finished(arguments)
    print("HOUSE", *(name for name in HEAVY if name in sys.modules))


def finished(arguments: list[str]) -> None:
    """The command to its end, whose exit is not this process's."""
    try:
        command(arguments)
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    main()
