"""What differs between a study's plan and its file as it is now."""

from importlib.metadata import version
from typing import Any

import pytest
from records import GOOD

from go4align.benchmarks.registry import benchmark_options, build_benchmark
from go4align.weighting import hyperparameters
from study.spec.search_space import SearchSpace
from study.spec.study_file import StudyFile
from study.stages.launch import Launch
from study.stages.plan import Plan, differences
from study.trials.code import code_in_use, source_digest

SPACE = SearchSpace.model_validate({"benchmark": "toy", "common": {}, "methods": {}})
FILE = GOOD | {"methods": ["ls", "mine"], "variants": {"mine": {"name": "famo"}}}


def differ(**changes: Any) -> list[str]:
    """What a study that was begun with `FILE` complains of when the file has these changes."""
    launch = Launch(source="mine.yaml")
    plan = Plan(study_run="x", created_ms=0, store="", study=StudyFile.model_validate(FILE), space=SPACE, launch=launch)
    return differences(plan, StudyFile.model_validate(FILE | changes), SPACE)


def test_a_default_that_is_written_out_is_no_change() -> None:
    benchmark = {"name": "toy", **benchmark_options("toy")}
    variants = {"mine": {"name": "famo", **hyperparameters("famo")}}
    assert differ() == differ(benchmark=benchmark, variants=variants) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"benchmark": {"name": "toy", "train_size": 99}},
            f"`benchmark.train_size`: {benchmark_options('toy')['train_size']} -> 99",
        ),
        ({"variants": {"mine": {"name": "famo", "weights_lr": 0.5}}}, "`variants.mine.weights_lr`: 0.025 -> 0.5"),
        ({"training": {**GOOD["training"], "epochs": 3}}, "`training.epochs`: 2 -> 3"),
    ],
)
def test_another_value_is_told_with_both(changes: dict[str, Any], told: str) -> None:
    assert differ(**changes) == [told]


def test_other_code_is_a_change_and_a_plan_that_does_not_say_is_none() -> None:
    study = StudyFile.model_validate(FILE)
    began, now = {"go4align-study": "1, sources a", "data": "2"}, {"go4align-study": "1, sources b", "data": "2"}
    for code, given, told in (
        (began, now, ["code of `go4align-study`: 1, sources a -> 1, sources b"]),
        (began, began, []),
        (began, {}, []),
        ({}, now, []),
        ({"data": "2"}, {"data": "3"}, ["code of `data`: 2 -> 3"]),
    ):
        plan = Plan(
            study_run="x", created_ms=0, store="", study=study, space=SPACE, launch=Launch(source="x.yaml"), code=code
        )
        assert differences(plan, study, SPACE, given) == told


def test_the_code_in_use_is_this_project_and_what_data_come_from() -> None:
    assert list(code_in_use(StudyFile.model_validate(FILE), build_benchmark("toy"))) == ["go4align-study"]
    found = code_in_use(StudyFile.model_validate(FILE), build_benchmark("qm9"))
    assert list(found) == ["go4align-study", "qm9pack", "rdkit"]
    assert found["go4align-study"].endswith(f"sources {source_digest()}")
    assert found["qm9pack"] == version("qm9pack")
