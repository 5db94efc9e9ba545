"""Studies that nobody trained, in a store that tests of reports share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_study import write_study
from stored import store_in

from study.results import StoredStudy, open_study
from study.spec.study_file import StudyFile

MakeStudy = Callable[..., StoredStudy]


def _space(n_tasks: int) -> dict[str, Any]:
    """All groups of a few tasks; two hyperparameters that are numbers, two that are names."""
    beta = {"type": "float", "low": 1e-9, "high": 1e-3, "log": True}
    n_groups = {"type": "categorical", "choices": [*range(1, n_tasks + 1), "auto"], "default": "auto"}
    space = {"type": "categorical", "choices": ["linear", "log"]}
    go4align = {"beta": beta, "n_groups": n_groups, "space": space}
    lr = {"type": "float", "low": 1e-4, "high": 0.1, "log": True}
    methods = {"ls": {}, "uw": {}, "famo": {}, "go4align": go4align}
    return {"benchmark": "toy", "common": {"lr": lr}, "methods": methods}


@pytest.fixture(scope="session")
def make_study(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeStudy:
    """Write a study and open it; keys of the study file, and options of `write_study`."""

    def make(name: str, *, finals: int = 3, stop_every: int = 4, fail_every: int = 0, **changes: Any) -> StoredStudy:
        home = tmp_path_factory.mktemp("report")
        uri = store_in(home, empty_store)
        n_tasks = changes.get("benchmark", {}).get("n_tasks", 4)
        (home / "space.yaml").write_text(yaml.safe_dump(_space(n_tasks)))
        values: dict[str, Any] = {
            "name": name,
            "benchmark": {"name": "toy", "n_tasks": 4},
            "training": {"epochs": 3, "batch_size": 32, "lr": 0.005},
            "methods": ["ls", "famo", "go4align"],
            "search_space": str(home / "space.yaml"),
            "budget": {"trials": 4},
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GO4ALIGN_HOME", str(home))
            options = {"finals": finals, "stop_every": stop_every, "fail_every": fail_every}
            write_study(StudyFile.model_validate(values | changes), uri, home, **options)
        return open_study(name, uri)

    return make


@pytest.fixture(scope="session")
def whole(make_study: MakeStudy) -> StoredStudy:
    """Six seeds, so that differences can be decided."""
    return make_study("whole", finals=6)
