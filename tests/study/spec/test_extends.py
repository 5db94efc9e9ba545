"""Search spaces that say only what differs from the common lines."""

from pathlib import Path
from typing import Any

import pytest
from records import GOOD

from go4align import UserError, available_methods
from study.spec import load_space
from study.spec.study_file import StudyFile

BENCHMARKS = ["celeba", "cityscapes", "nyuv2", "qm9", "toy"]


def space_of(text: str, folder: Path, **changes: Any) -> Any:
    path = folder / "space.yaml"
    path.write_text(text)
    study = StudyFile.model_validate({**GOOD, "search_space": str(path), **changes})
    return load_space(study, study.build_benchmark())


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_packaged_space_has_lines_for_every_method(benchmark: str) -> None:
    small = {"generated": {"train_size": 4, "val_size": 2, "test_size": 2}}
    section = {"name": benchmark, **(small if benchmark in ("celeba", "cityscapes", "nyuv2") else {})}
    methods = [method for method in available_methods() if method != "stl"]
    lr = {"celeba": 1e-3, "cityscapes": 1e-4, "nyuv2": 1e-4}.get(benchmark, 5e-3)
    training = {"epochs": 2, "batch_size": 4, "lr": lr, "schedule": "constant", "selection": "best"}
    study = StudyFile.model_validate(
        {**GOOD, "benchmark": section, "training": training, "methods": methods, "search_space": benchmark}
    )
    space = load_space(study, study.build_benchmark())
    assert set(methods) <= set(space.methods)
    assert "n_groups" in space.methods["go4align"]


def test_own_lines_stand_before_the_common_ones(tmp_path: Path) -> None:
    text = (
        "benchmark: toy\nextends: methods\nmethods:\n"
        "  famo: {weights_lr: {type: float, low: 0.01, high: 0.02, default: 0.015}}\n  ls:\n"
    )
    space = space_of(text, tmp_path)
    assert space.methods["famo"]["weights_lr"].low == 0.01
    assert "weight_decay" in space.methods["famo"] and "c" in space.methods["cagrad"]
    assert space.methods["ls"] == {}
    assert space.common["lr"].low == 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: method", "Unknown search space .*'method'. Did you mean 'methods'"),
        ("extends: 5", "`extends` must be the name of a packaged search space, as methods, found 5"),
        ("extends: ../other.yaml", "`extends` must be the name of a packaged"),
        ("extends: qm9", "must name a search space that extends none, found 'qm9'"),
        ("extends: methods\nmethods: [ls]", "methods"),
        ("extends: methods\nmethods: {ls: 5}", "methods.ls"),
        ("extends: methods\ncommon: 5", "common"),
        ("extends: methods\nmethods: {lss: {}}", "'lss'. Did you mean 'ls'"),
    ],
)
def test_what_cannot_be_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        space_of(f"benchmark: toy\n{text}\n", tmp_path)
    assert "\n" not in str(caught.value)
