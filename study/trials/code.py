"""Which code trains: a study that goes on, and every worker, must run the same as it began with."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from go4align.benchmarks.base import Benchmark
from study.spec.study_file import StudyFile

_OURS = ("go4align", "study")


@lru_cache
def source_digest() -> str:
    """Of every Python file of this project, wherever it is installed; equal on all nodes that run the same."""
    found = hashlib.sha256()
    for package in _OURS:
        spec = find_spec(package)
        folder = Path(next(iter((spec and spec.submodule_search_locations) or [])))
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{package}/{path.relative_to(folder).as_posix()}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def code_in_use(study: StudyFile, benchmark: Benchmark) -> dict[str, str]:
    """What trains a study here, by distribution: this project's version and sources, the versions of the packages that
    the benchmark's data come from, or that it comes from itself, and those of methods of other packages."""
    module = type(benchmark).__module__.partition(".")[0]
    packages = list(benchmark.packages)
    if module not in _OURS:
        packages += packages_distributions().get(module, [])
    origin = {"benchmark": benchmark.provenance} if benchmark.provenance else {}
    methods = {name: study.method(name).provenance for name in study.methods}
    return {
        "go4align-study": f"{_version('go4align-study')}, sources {source_digest()}",
        **{package: _version(package) for package in packages},
        **origin,
        **{f"method {name}": found for name, found in methods.items() if found},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
