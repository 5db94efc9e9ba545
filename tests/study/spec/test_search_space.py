"""Search spaces: what Optuna is given, the defaults, and one clear line for what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from records import GOOD

from go4align import UserError, available_methods
from go4align.benchmarks.base import Benchmark
from study.search.distributions import distributions
from study.spec.configuration import MethodSection
from study.spec.search_space import SearchSpace, load_space
from study.spec.study_file import StudyFile

LR = {"lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}}


def built(content: dict[str, Any]) -> tuple[StudyFile, Benchmark]:
    study = StudyFile.model_validate(content)
    return study, study.build_benchmark()


def load(tmp_path: Path, **sections: Any) -> SearchSpace:
    content = {"benchmark": "toy", "common": LR, "methods": {"ls": {}, "go4align": {}}, **sections}
    return load_text(tmp_path, yaml.safe_dump(content))


def load_text(tmp_path: Path, text: str) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return load_space(*built({**GOOD, "search_space": str(path)}))


@pytest.mark.parametrize("name", ["toy", "qm9"])
def test_packaged_spaces_cover_every_method_but_stl(name: str) -> None:
    study = {**GOOD, "benchmark": {"name": name}, "search_space": name}
    study["methods"] = [method for method in available_methods() if method != "stl"]
    study["training"] = {"epochs": 2, "batch_size": 64, "lr": 0.005}
    space = load_space(*built(study))
    for method in study["methods"]:
        assert {"lr"} <= set(distributions(space, MethodSection(name=method)))
        assert set(space.defaults(MethodSection(name=method), 0.005)) == set(
            distributions(space, MethodSection(name=method))
        )


def test_go4align_on_qm9_searches_what_the_paper_tuned() -> None:
    study = {**GOOD, "benchmark": {"name": "qm9"}, "search_space": "qm9"}
    space = load_space(*built(study))
    found = distributions(space, MethodSection(name="go4align"))
    assert found["beta"] == FloatDistribution(1e-9, 1e-2, log=True)
    assert isinstance(found["n_groups"], CategoricalDistribution) and "auto" in found["n_groups"].choices
    assert space.defaults(MethodSection(name="go4align"), 0.01) == {
        "lr": 0.01,
        "beta": 1e-4,
        "n_groups": 5,
        "space": "linear",
    }


def test_ints_stay_ints(tmp_path: Path) -> None:
    groups = {"go4align": {"n_groups": {"type": "int", "low": 2, "high": 6, "default": 2}}, "ls": {}}
    space = load(tmp_path, methods=groups)
    assert distributions(space, MethodSection(name="go4align"))["n_groups"] == IntDistribution(2, 6)
    defaults = space.defaults(MethodSection(name="go4align"), 0.01)["n_groups"]
    assert defaults == 2 and isinstance(defaults, int)


BETA = {"type": "float", "low": 1e-9, "high": 1e-2, "log": True}


def _choices(*values: Any) -> dict[str, Any]:
    return {"methods": {"ls": {}, "go4align": {"space": {"type": "categorical", "choices": [*values]}}}}


WRONG: dict[str, tuple[dict[str, Any] | str, list[str]]] = {
    "nothing to search": (
        {"common": {}, "methods": {"ls": {}}},
        ["what is searched for 'go4align', found nothing. Add its lines under `methods:`"],
    ),
    "unknown method": ({"methods": {"lss": {}}}, ["lss", "Did you mean 'ls'?"]),
    "unknown hyperparameter": ({"methods": {"go4align": {"betta": BETA}}}, ["betta", "Did you mean 'beta'?"]),
    "reversed range": ({"common": {"lr": {"type": "float", "low": 1, "high": 0.1}}}, ["`low` must be below `high`"]),
    "log from zero": ({"common": {"lr": {"type": "float", "low": 0, "high": 1, "log": True}}}, ["positive on a log"]),
    "lr out of range": ({"common": {"lr": {"type": "float", "low": 0.1, "high": 1}}}, ["lr = 0.01", "training.lr"]),
    "default out of range": (
        {"methods": {"ls": {}, "go4align": {"beta": {**BETA, "default": 1.0}}}},
        ["go4align.beta", "1.0", "first trial"],
    ),
    "impossible edge": (
        {"methods": {"ls": {}, "go4align": {"n_groups": {"type": "int", "low": 2, "high": 9, "default": 2}}}},
        ["n_groups", "6", "9"],
    ),
    "impossible choice": (
        {"methods": {"ls": {}, "go4align": {"space": {"type": "categorical", "choices": ["linear", "lgo"]}}}},
        ["lgo", "log"],
    ),
    "unknown type": (
        {"common": {"lr": {"type": "flaot", "low": 0.1, "high": 1}}},
        ["`common.lr.type`: Unknown type 'flaot'. Did you mean 'float'?"],
    ),
    "choice of nothing": (
        _choices("linear", None),
        ["`methods.go4align.space.choices.1`: must be a text, a number, or true or false, found null"],
    ),
    "equal choices": (
        _choices(2, 2, 3),
        ["methods.go4align.space", "hold each value once, found 2 and 2. Remove one."],
    ),
    "choices that are equal as numbers": (_choices(0, 0.0), ["each value once, found 0 and 0.0"]),
    "choices that are equal to Optuna": (_choices(True, "a", 1), ["each value once, found true and 1"]),
    "equal choices written differently": (
        "benchmark: toy\nmethods:\n  go4align:\n    beta: {type: categorical, choices: [1.0e-5, 0.00001]}\n",
        ["`methods.go4align.beta`: `choices` must hold each value once, found 1e-05 and 1e-05"],
    ),
    "a time for a number": (
        "benchmark: toy\ncommon: {lr: {type: float, low: 1:30, high: 100}}\nmethods: {ls: {}}\n",
        ["`common.lr.low`: must be a number, found '1:30'. Write it in decimal digits"],
    ),
    "other benchmark": ({"benchmark": "qm9"}, ["'qm9'", "'toy'"]),
    "int without a default": (
        {"methods": {"ls": {}, "go4align": {"n_groups": {"type": "int", "low": 2, "high": 6}}}},
        ["n_groups = auto"],
    ),
    "default between two ints": (
        {"methods": {"ls": {}, "go4align": {"n_groups": {"type": "int", "low": 2, "high": 6, "default": 2.5}}}},
        ["go4align.n_groups", "2.5"],
    ),
    "unknown key of a range": (
        {"common": {"lr": {**LR["lr"], "hihg": 1}}},
        ["common.lr", "Did you mean 'high'?"],
    ),
    "unknown common": ({"common": {**LR, "beta": BETA}}, ["beta", "lr"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_space_gets_one_line(case: str, tmp_path: Path) -> None:
    sections, expected = WRONG[case]
    with pytest.raises(UserError) as caught:
        load(tmp_path, **sections) if isinstance(sections, dict) else load_text(tmp_path, sections)
    message = str(caught.value)
    assert "\n" not in message
    assert "space.yaml" in message
    for part in expected:
        assert part in message


def test_an_unknown_space_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'toy'"):
        load_space(*built({**GOOD, "search_space": "toyy"}))


def test_a_method_without_lines_searches_the_learning_rate_alone() -> None:
    study = StudyFile.model_validate({**GOOD, "methods": ["torchjd.sum", "torchjd.stch"]})
    space = load_space(study, study.build_benchmark())
    assert "torchjd.sum" not in space.methods
    assert set(space.parameters(study.method("torchjd.sum"))) == {"lr"}
    assert space.defaults(study.method("torchjd.stch"), 0.01) == {"lr": 0.01, "mu": 1.0}


def test_what_a_variant_fixes_is_checked_where_nothing_is_searched(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("benchmark: toy\nmethods: {go4align: {}}\n")
    variants = {"cold": {"name": "go4align", "beta": -1.0}}
    study = StudyFile.model_validate({**GOOD, "search_space": str(path), "variants": variants, "methods": ["cold"]})
    with pytest.raises(UserError, match="`variants.cold`: `beta` must be a finite number of at least 0, found -1"):
        load_space(study, study.build_benchmark())


def test_a_variant_searches_all_but_what_it_fixes(tmp_path: Path) -> None:
    variants = {"scale-only": {"name": "go4align", "smooth": False, "beta": 1e-7}}
    study = StudyFile.model_validate({**GOOD, "variants": variants, "methods": ["ls", "scale-only"]})
    space = load_space(study, study.build_benchmark())
    variant = study.method("scale-only")
    assert set(distributions(space, variant)) == {"lr", "n_groups", "space"}
    defaults = space.defaults(variant, 0.01)
    assert study.configuration("scale-only", defaults).method.options == {
        "smooth": False, "beta": 1e-7, "n_groups": 2, "space": "linear",
    }  # fmt: skip
    assert study.configuration("scale-only").method.key == "scale-only"
