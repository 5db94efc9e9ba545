"""What the Tab key offers: names and files that are known without asking a store or importing what is slow."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from go4align.benchmarks.registry import available_benchmarks
from go4align.home import home_folder
from go4align.weighting.registry import TORCHJD, available_methods, torchjd_methods


def presets_and_files(incomplete: str) -> list[str]:
    """What `study run` takes."""
    named = (entry.name for entry in (files("study") / "presets").iterdir())
    return _beginning(incomplete, (name.removesuffix(".yaml") for name in named)) + yaml_files(incomplete)


def studies(incomplete: str) -> list[str]:
    """Studies that this machine has run."""
    return _beginning(incomplete, (path.name for path in (home_folder() / "studies").glob("*")))


def studies_and_files(incomplete: str) -> list[str]:
    """What `study resume` and `study final` take."""
    return studies(incomplete) + yaml_files(incomplete)


def benchmarks(incomplete: str) -> list[str]:
    """Benchmarks."""
    return _beginning(incomplete, available_benchmarks())


def method(incomplete: str) -> list[str]:
    """Methods."""
    return _beginning(incomplete, _method_names(incomplete))


def methods(incomplete: str) -> list[str]:
    """Comma-separated methods, the last of them being typed."""
    before, comma, last = incomplete.rpartition(",")
    left = [name for name in _method_names(last) if name not in before.split(",")]
    return [before + comma + name for name in _beginning(last, left if comma else [*left, "all"])]


def _method_names(typed: str) -> tuple[str, ...]:
    """TorchJD's take as long as importing torch, so they are there once their prefix is."""
    return torchjd_methods() if typed.startswith(TORCHJD) else available_methods()


def yaml_files(incomplete: str) -> list[str]:
    """YAML files, and folders with a slash behind them, under the path as it is typed."""
    typed, _, last = incomplete.rpartition("/")
    folder = typed + "/" if "/" in incomplete else ""
    try:
        found = [path for path in Path(folder).expanduser().iterdir() if path.name.startswith(last)]
    except (OSError, RuntimeError):
        return []
    shown = [path for path in found if not path.name.startswith(".") or last.startswith(".")]
    return sorted(
        f"{folder}{path.name}{'/' if path.is_dir() else ''}"
        for path in shown
        if path.is_dir() or path.suffix in {".yaml", ".yml"}
    )


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
