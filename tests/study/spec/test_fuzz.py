"""Files of all kinds with anything in them: they are read, or refused in one clear line before anything starts.

The examples are the same in every run. To look for more, for minutes or hours:

    pytest tests/study/spec/test_fuzz.py --hypothesis-profile=explore --timeout=0
"""

import copy
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from spoilt import NAMES, ON_QM9, SPACE, STUDY, assert_clear, with_space

from go4align import UserError
from go4align.benchmarks.registry import build_benchmark
from study.api import write_best
from study.cluster.checks import findings
from study.cluster.files import load_cluster
from study.search.distributions import distributions
from study.spec.configuration import BestFile, Configuration
from study.spec.loading import load_best_file, load_configurations, load_study
from study.spec.search_space import SearchSpace, load_space
from study.spec.study_file import StudyFile
from study.spec.yaml import to_yaml


def frozen_file(study: StudyFile) -> BestFile:
    """What `study best` writes for a study, with made-up scores."""
    values = dict.fromkeys(build_benchmark(study.benchmark.name, **study.benchmark.options).metrics(), 0.5)
    configurations = [
        {**study.configuration(method).model_dump(), "trial": f"search-{method}-000", "score": -1.5, "seed": 4}
        for method in study.methods
    ]
    reference = {"source": "measured", "val": values, "test": values}
    return BestFile.model_validate({"study": study.name, "reference": reference, "configurations": configurations})


FROZEN = frozen_file(StudyFile.model_validate({**STUDY, "methods": ["ls", "cagrad", "given"]})).model_dump(mode="json")
ROOT = Path(__file__).parents[3]
ON_PREMISE, CLOUD = (yaml.safe_load((ROOT / name).read_text()) for name in ("clusters/on-premise.yaml", "cluster.yaml"))
PLAIN = {key: FROZEN["configurations"][1][key] for key in ("benchmark", "method", "training")}


# ----------------------------------------------------------------------------------------------------- what is checked


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
    if assert_read_or_refused(lambda: load_space(study, study.build_benchmark())):
        for method in study.methods:
            study.configuration(method).check()


def space_of(path: Path) -> SearchSpace:
    study = StudyFile.model_validate({**STUDY, "search_space": str(path)})
    return load_space(study, study.build_benchmark())


def check_space(path: Path) -> None:
    study = StudyFile.model_validate({**STUDY, "search_space": str(path)})
    space = assert_read_or_refused(lambda: space_of(path))
    if space is None:
        return
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space
    for name in study.methods:
        method = study.method(name)
        defaults = space.defaults(method, study.training.lr)
        for key, distribution in distributions(space, method).items():
            assert distribution._contains(distribution.to_internal_repr(defaults[key]))


def check_frozen(path: Path) -> None:
    frozen = assert_read_or_refused(lambda: load_best_file(str(path)))
    assert_read_or_refused(lambda: load_configurations(str(path)))
    if frozen is None:
        return
    again = path.with_name("again.yaml")
    write_best(frozen, again)
    assert load_best_file(str(again)) == frozen
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
    return with_space(tmp_path_factory.mktemp("fuzz"))


def check(kind: str, folder: Path, content: bytes) -> None:
    path = folder / "file.yaml"
    path.write_bytes(content)
    KINDS[kind][1](path)


# ------------------------------------------------------------------------------------------------------ changed values

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
        "search space": lambda: space_of(path),
        "frozen file": lambda: load_best_file(str(path)),
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
