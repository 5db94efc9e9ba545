"""A file of one kind in the place of another is told by what it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import GOOD

from go4align.errors import UserError
from study.cluster import load_cluster
from study.spec import load_best_file, load_configurations, load_space, load_study, to_yaml

ROOT = Path(__file__).parents[3]
METHOD = {"benchmark": {"name": "toy"}, "method": {"name": "ls"}, "training": {"epochs": 1, "batch_size": 8, "lr": 0.1}}
FILES: dict[str, str] = {
    "a study file": to_yaml(GOOD),
    "a search space": (ROOT / "search_spaces" / "toy.yaml").read_text(),
    "a file of `study best`": to_yaml({"study": "toy", "reference": {}, "configurations": [METHOD]}),
    "a configuration": to_yaml(METHOD),
    "a cluster file": (ROOT / "cluster.yaml").read_text(),
}


def _space_at(path: str) -> Any:
    study = load_study("toy")
    return load_space(study.model_copy(update={"search_space": path}), study.build_benchmark())


READERS: dict[str, Callable[[str], Any]] = {
    "a study file": load_study,
    "a search space": _space_at,
    "a file of `study best`": load_best_file,
    "a file of `study best` or a configuration": load_configurations,
    "a cluster file": load_cluster,
}


@pytest.mark.parametrize("found", FILES)
@pytest.mark.parametrize("required", READERS)
def test_a_file_of_another_kind_is_named(tmp_path: Path, found: str, required: str) -> None:
    path = tmp_path / "a file.yaml"
    path.write_text(FILES[found])
    expected = f"{path} is {found}, {required} was required. "
    try:
        READERS[required](str(path))
    except UserError as error:
        told = str(error)
    else:
        told = ""
    assert told.startswith(expected) == (found not in required)
    assert f"'{path}'" in told or found in required, "the remedy is a command, or a line, that can be copied"


def test_what_looks_like_no_kind_is_complained_of_as_before(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("nmae: odd")
    with pytest.raises(UserError, match="Unknown key 'nmae'. Did you mean 'name'"):
        load_study(str(path))
