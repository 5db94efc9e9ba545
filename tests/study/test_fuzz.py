"""Bad files and names: whatever they hold, they are read, or refused in one clear line before anything starts.

The examples are the same in every run. To look for more, for minutes or hours:

    pytest tests/study/test_fuzz.py --hypothesis-profile=explore --timeout=0
"""

import copy
import datetime
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align import UserError
from go4align.benchmarks.registry import build_benchmark
from study import cli
from study.api import write_frozen
from study.cluster.checks import findings
from study.cluster.files import load_cluster
from study.config import Configuration, FrozenFile, StudyFile
from study.files import load_configurations, load_frozen, load_study
from study.mlflow_tracker import MlflowTracker
from study.plain_yaml import to_yaml
from study.space import SearchSpace, load_space
from tests.study.test_results import end, result_of, study_of, trial_of

STUDY: dict[str, Any] = {
    "name": "mine",
    "benchmark": {"name": "toy", "n_tasks": 3, "train_size": 64, "val_size": 8, "test_size": 8, "width": 4},
    "training": {"epochs": 2, "batch_size": 64, "lr": 0.01, "schedule": "plateau", "patience": 3},
    "methods": ["ls", "dwa", "cagrad", "go4align", "given"],
    "variants": {
        "given": {
            "name": "go4align", "clustering": "given", "smooth": False, "seed": 3, "n_groups": 2,
            "clustering_options": {"labels": [0, 1, 1], "weights": [1.0, 2.0]},
        },
        "over-famo": {"name": "go4align", "indicator": "famo", "indicator_options": {"weights_lr": 0.1}},
    },
    "search_space": "space.yaml",
    "budget": {"trials": 2, "epochs": 100, "hours": 1.5, "gpu_hours": None},
    "scheduler": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3},
    "resources": {"cpus": 1, "gpus": 0.5},
    "reference": "measured",
    "seeds": {"search": 0, "reference": 1, "final": [101, 102]},
    "tracking_uri": "sqlite:///runs.db",
}  # fmt: skip
ON_QM9: dict[str, Any] = {
    **STUDY,
    "benchmark": {
        "name": "qm9", "train_size": 20, "val_size": 5, "test_size": 5, "network": {"dim": 8, "edge_hidden": 8},
        "target_units": "own", "split_seed": 1, "root": "root", "data_dir": "~/data",
    },
    "variants": {"given": {"name": "go4align", "clustering": "spectral", "beta": 0.01}},
    "reference": "published",
}  # fmt: skip
SPACE: dict[str, Any] = {
    "benchmark": "toy",
    "common": {"lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True}},
    "methods": {
        "ls": {},
        "dwa": {"window": {"type": "int", "low": 1, "high": 30, "published": 25}},
        "cagrad": {"c": {"type": "float", "low": 0.1, "high": 1.0}},
        "go4align": {
            "beta": {"type": "float", "low": 1e-9, "high": 0.01, "log": True, "published": 1e-4},
            "n_groups": {"type": "categorical", "choices": [2, 3, "auto"], "published": 2},
            "smooth": {"type": "categorical", "choices": [True, False]},
        },
    },
}


def frozen_file(study: StudyFile) -> FrozenFile:
    """What `study best` writes for a study, with made-up scores."""
    values = dict.fromkeys(build_benchmark(study.benchmark.name, **study.benchmark.options).metrics(), 0.5)
    configurations = [
        {**study.configuration(method).model_dump(), "trial": f"search-{method}-000", "score": -1.5, "seed": 4}
        for method in study.methods
    ]
    reference = {"source": "measured", "val": values, "test": values}
    return FrozenFile.model_validate({"study": study.name, "reference": reference, "configurations": configurations})


FROZEN = frozen_file(StudyFile.model_validate({**STUDY, "methods": ["ls", "cagrad", "given"]})).model_dump(mode="json")
ROOT = Path(__file__).parents[2]
ON_PREMISE, CLOUD = (yaml.safe_load((ROOT / name).read_text()) for name in ("clusters/on-premise.yaml", "cluster.yaml"))
PLAIN = {key: FROZEN["configurations"][1][key] for key in ("benchmark", "method", "training")}


# ----------------------------------------------------------------------------------------------------- what is checked


def assert_clear(message: str) -> None:
    assert message.strip(), "it says something"
    assert message.isprintable(), "one line, which cannot steer a terminal or turn its text around"
    assert len(message) < 600
    assert "Traceback" not in message


def assert_read_or_refused(load: Callable[[], Any]) -> Any:
    """What was loaded; None where it was refused in one clear line."""
    try:
        return load()
    except UserError as error:
        assert_clear(str(error))
        return None


def check_study(path: Path) -> None:
    study = assert_read_or_refused(lambda: load_study(str(path)))
    if study is None:
        return
    assert StudyFile.model_validate_json(study.model_dump_json()) == study, "as MLflow keeps it"
    again = path.with_name("again.yaml")
    again.write_text(to_yaml(study.model_dump(mode="json")), encoding="utf-8")
    assert load_study(str(again)) == study
    if assert_read_or_refused(lambda: load_space(study)):
        for method in study.methods:
            study.configuration(method).check()


def check_space(path: Path) -> None:
    study = StudyFile.model_validate({**STUDY, "search_space": str(path)})
    space = assert_read_or_refused(lambda: load_space(study))
    if space is None:
        return
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space
    for name in study.methods:
        method = study.method(name)
        published = space.published(method, study.training.lr)
        for key, distribution in space.distributions(method).items():
            assert distribution._contains(distribution.to_internal_repr(published[key]))


def check_frozen(path: Path) -> None:
    frozen = assert_read_or_refused(lambda: load_frozen(str(path)))
    assert_read_or_refused(lambda: load_configurations(str(path)))
    if frozen is None:
        return
    again = path.with_name("again.yaml")
    write_frozen(frozen, again)
    assert load_frozen(str(again)) == frozen
    assert load_configurations(str(again)) == (frozen.configurations, frozen.reference)


def check_cluster(path: Path) -> None:
    cluster = assert_read_or_refused(lambda: load_cluster(str(path)))
    if cluster is not None:
        for found in findings(cluster):
            assert_clear(found)


def check_configuration(path: Path) -> None:
    loaded = assert_read_or_refused(lambda: load_configurations(str(path)))
    for configuration in loaded[0] if loaded else ():
        assert Configuration.model_validate_json(configuration.model_dump_json()) == configuration
        assert_read_or_refused(configuration.check)


KINDS: dict[str, tuple[dict[str, Any], Callable[[Path], None]]] = {
    "study": (STUDY, check_study),
    "study on QM9": (ON_QM9, check_study),
    "search space": (SPACE, check_space),
    "frozen file": (FROZEN, check_frozen),
    "configuration": (PLAIN, check_configuration),
    "cluster file": (ON_PREMISE, check_cluster),
    "cluster file for a cloud": (CLOUD, check_cluster),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the search space that studies name."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
    return folder


def check(kind: str, folder: Path, content: bytes) -> None:
    path = folder / "file.yaml"
    path.write_bytes(content)
    KINDS[kind][1](path)


# ------------------------------------------------------------------------------------------------------ changed values

NAMES = [
    "", " ", "../x", "a/b", "a'b", 'a" or 1=1', "x' or '1'='1", "%", "a\nb", "a.yaml", ".hidden", "-dash",
    "~nobody-here/x", "tоy", "ｔｏｙ", "a\u202eb", "a\x1b[31mb", "a\x00b", "\ud800", "[bold]", "[/]", "x" * 300, "1e3",
    "2024-01-01", "null", "Default", "all", "ls", "go4align", "auto", "none", "CON", ":memory:", "<script>", "{0}",
    "${HOME}", "é", "\ufeff", "b\udce9st",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, 2, 3, -1, 7, 10**6, 10**12, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0, 0.5, 1.0,
    1.5, -1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), [], {}, [[]], [None], [1, 1], ["a"], {"a": 1},
    {1: 2}, {None: None}, {True: 1}, {"name": "go4align"}, {"name": None}, {"a": {"b": {"c": [1]}}}, b"bytes", {"set"},
    datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), "1e-3", "0.1", "1", "true",
    "x" * 5000,
]  # fmt: skip
ODD = st.sampled_from(VALUES) | st.sampled_from(NAMES) | st.text(max_size=12) | st.floats()
Place = tuple[Any, ...]


def places(content: Any) -> list[Place]:
    """The way to every value."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [(), *((key, *rest) for key, value in items for rest in places(value))]


def value_at(content: Any, place: Place) -> Any:
    for key in place:
        content = content[key]
    return content


@st.composite
def changed(draw: st.DrawFn, original: dict[str, Any]) -> Any:
    """A valid content with a few values replaced, moved or left out, and keys misspelt."""
    content = {"": copy.deepcopy(original)}
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(content)[1:]))
        parent, key = value_at(content, place[:-1]), place[-1]
        action = draw(st.sampled_from(["replace", "replace", "replace", "delete", "rename", "wrap", "move", "add"]))
        if action == "replace":
            parent[key] = copy.deepcopy(draw(ODD))
        elif action == "delete" and len(place) > 1:
            del parent[key]
        elif action == "rename" and isinstance(parent, dict):
            new = draw(st.sampled_from([f"{key}s", str(key)[1:], str(key).upper(), 5, None, *NAMES]))
            parent[new] = parent.pop(key)
        elif action == "wrap":
            parent[key] = draw(st.sampled_from([[parent[key]], {"x": parent[key]}, {"name": parent[key]}]))
        elif action == "move":
            parent[key] = copy.deepcopy(value_at(content, draw(st.sampled_from(places(content)[1:]))))
        elif action == "add" and isinstance(parent[key], dict | list):
            new = copy.deepcopy(draw(ODD))
            if isinstance(parent[key], list):
                parent[key].append(new)
            else:
                parent[key][draw(st.sampled_from(NAMES))] = new
    return content.get("")


@kinds
def test_the_files_that_are_changed_are_valid(kind: str, folder: Path) -> None:
    content, _ = KINDS[kind]
    path = folder / "valid.yaml"
    path.write_text(to_yaml(content))
    loaders: dict[str, Callable[[], Any]] = {
        "search space": lambda: load_space(StudyFile.model_validate({**STUDY, "search_space": str(path)})),
        "frozen file": lambda: load_frozen(str(path)),
        "configuration": lambda: load_configurations(str(path)),
        "cluster file": lambda: load_cluster(str(path)),
        "cluster file for a cloud": lambda: load_cluster(str(path)),
    }
    assert loaders.get(kind, lambda: load_study(str(path)))()


@kinds
@given(data=st.data())
def test_a_changed_file_is_read_or_refused_in_one_line(kind: str, folder: Path, data: st.DataObject) -> None:
    content = data.draw(changed(KINDS[kind][0]))
    check(kind, folder, yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))


JUNK = [
    "\t",
    "  ",
    "- ",
    ": ",
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "? ",
    "# ",
    "'",
    "[",
    "}",
    "|",
    "\x00",
    "\x85",
    "---",
    "\ufeff",
]


@st.composite
def garbled(draw: st.DrawFn, original: dict[str, Any]) -> str:
    """The text of a valid file with lines repeated, left out, moved or indented, and junk between."""
    lines = to_yaml(original).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at, junk = draw(st.integers(0, len(lines) - 1)), draw(st.sampled_from(JUNK) | st.text(max_size=5))
        column = draw(st.integers(0, len(lines[at])))
        lines[at : at + 1] = draw(
            st.sampled_from([
                [lines[at], lines[at]], [], [f"  {lines[at]}"], [lines[at].lstrip()], [lines[at][:column]],
                [lines[at][:column] + junk + lines[at][column:]], [junk, lines[at]],
            ])
        ) or [""]  # fmt: skip
    return "\n".join(lines)


@kinds
@given(data=st.data())
def test_a_garbled_file_is_read_or_refused_in_one_line(kind: str, folder: Path, data: st.DataObject) -> None:
    check(kind, folder, data.draw(garbled(KINDS[kind][0])).encode("utf-8", "surrogatepass"))


@kinds
@given(content=st.binary(max_size=40))
def test_any_bytes_are_refused_in_one_line(kind: str, folder: Path, content: bytes) -> None:
    check(kind, folder, content)


# ------------------------------------------------------------------------------------------------------- the commands


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tracking store with the study `alpha`, beside a journal of it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        tracker = MlflowTracker(f"sqlite:///{home}/mlflow.db")
        tracker.open(study_of("alpha"))
        end(tracker, trial_of("ls-0", origin="published"), result_of("ls-0", 5.0))
        tracker.close("finished")
        yield home


def contents(home: Path) -> tuple[list[str], list[int]]:
    """What a refused command must leave as it was."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        counts = [database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("runs", "experiments", "tags")]
    return sorted(str(path) for path in home.rglob("*")), counts


def assert_refused(home: Path, *args: str) -> str:
    """Call the console entry point, and return the line that it writes."""
    before, out, err = contents(home), StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["study", *args])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert (ended.value.code, out.getvalue(), err.getvalue().count("\n")) == (2, "", 1), err.getvalue()
    assert_clear(err.getvalue().removesuffix("\n"))
    assert contents(home) == before
    return err.getvalue()


TAKES_A_NAME: dict[str, list[str]] = {
    "run": ["run", "--"],
    "run --methods": ["run", "toy", "--methods"],
    "run --warm-start": ["run", "toy", "--warm-start"],
    "resume": ["resume", "--"],
    "best": ["best", "--"],
    "best --method": ["best", "alpha", "--method"],
    "final": ["final", "--"],
    "train": ["train", "--"],
    "sync": ["sync", "--"],
}


@pytest.mark.parametrize("command", TAKES_A_NAME)
def test_a_bad_name_is_refused_by_every_command(command: str, store: Path) -> None:
    known = {"ls", "go4align", "all"} if "--method" in command else set()
    for name in set(NAMES) - known:
        assert_refused(store, *TAKES_A_NAME[command], name)


@settings(max_examples=settings().max_examples // 4)
@given(st.text(max_size=30).filter(lambda text: text != "alpha"))
def test_any_other_name_is_refused(store: Path, text: str) -> None:
    for command in ("best", "sync"):
        assert_refused(store, *TAKES_A_NAME[command], text)


URIS = [
    "x", "://", "sqlite", "sqlite:", "sqlite:///", "sqlite:////proc/x.db", "sqlite:////dev/zero", "sqlite:////etc/passwd",
    "sqlite:///a\x00b", "sqlite:///a%00b", "sqlite:///\ud800", "sqlite:///.", "sqlite:///~nobody-here/x", "http://",
    "http://\x1b[31m", "http://host:99999", "http://127.0.0.1:²", "http://[", "http://127.0.0.1:1/ b", "ftp://x",
    f"http://{'a' * 300}:1", "http://me:secret@127.0.0.1:1", "mysql://127.0.0.1:1/runs", "file:///etc", "~", "../..",
    "%", "'; drop table runs; --", "x" * 5000, f"sqlite:///{'x' * 5000}", f"sqlite:///{'x/' * 3000}m.db",
    "databricks", " ",
]  # fmt: skip


@pytest.mark.parametrize(
    "command", [["run", "toy"], ["resume", "alpha"], ["best", "alpha"], ["final", "alpha"], ["ls"]], ids=" ".join
)
def test_a_bad_store_is_refused_by_every_command(command: list[str], store: Path) -> None:
    for uri in URIS:
        assert "secret" not in assert_refused(store, *command, "--tracking-uri", uri)


BAD_FILES: dict[str, bytes | dict[str, Any]] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "billion laughs": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 121)),
    "command": b"name: !!python/object/apply:os.system ['touch pwned']",
    "terminal escape": b'"\\e[2J": 1',
    "true for a number": {"training": {**STUDY["training"], "epochs": True}},
    "path as name": {"name": "../x"},
    "home of nobody": {"benchmark": {"name": "qm9", "data_dir": "~nobody-here/x"}, "methods": ["ls"], "variants": {}},
    "search space that is no file": {"search_space": "/"},
    "tracking store that is none": {"tracking_uri": "sqlite:///a\0b"},
    "half of what a CPU has": {"resources": {"cpus": 1, "gpus": 1.5}},
}


@pytest.mark.parametrize("command", ["run", "resume", "final", "train"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_by_every_command(command: str, case: str, store: Path, folder: Path) -> None:
    content, path = BAD_FILES[case], folder / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else to_yaml({**STUDY, **content}).encode())
    before = sorted(folder.iterdir())
    assert_refused(store, command, str(path))
    assert sorted(folder.iterdir()) == before


def test_a_process_of_its_own_says_the_same(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: ../x")
    command = [sys.executable, "-c", "from study.cli import main; main()", "run", "bad.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert_clear(done.stderr.removesuffix("\n"))
