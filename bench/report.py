"""How long a report of a large study takes to write, and how large the page is.

The study is made up (`made_study`): real proposals, records and files of epochs in a SQLite store, nothing trained.

    python bench/report.py [--trials 200] [--tasks 40] [--epochs 15] [--seeds 5] [--out FILE]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import yaml
from made_study import write_study

import study
from study.results import open_study
from study.spec import StudyFile

METHODS = ("ls", "uw", "famo", "go4align")


def space(n_tasks: int) -> dict[str, object]:
    """A search space for so many tasks."""
    beta = {"type": "float", "low": 1e-9, "high": 1e-3, "log": True}
    n_groups = {"type": "categorical", "choices": [2, 3, 5, 8, n_tasks, "auto"], "default": "auto"}
    go4align = {"beta": beta, "n_groups": n_groups, "space": {"type": "categorical", "choices": ["linear", "log"]}}
    common = {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}}
    methods = {method: go4align if method == "go4align" else {} for method in METHODS}
    return {"benchmark": "toy", "common": common, "methods": methods}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("trials", 200), ("tasks", 40), ("epochs", 15), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["GO4ALIGN_HOME"] = folder
        (home / "space.yaml").write_text(yaml.safe_dump(space(asked.tasks)))
        uri = f"sqlite:///{home}/mlflow.db"
        made = StudyFile.model_validate(
            {
                "name": "large",
                "benchmark": {"name": "toy", "n_tasks": asked.tasks},
                "training": {"epochs": asked.epochs, "batch_size": 32, "lr": 0.005},
                "methods": list(METHODS),
                "search_space": str(home / "space.yaml"),
                "budget": {"trials": asked.trials // len(METHODS)},
            }
        )
        write_study(made, uri, home, finals=asked.seeds, fail_every=25)
        began = time.perf_counter()
        path = study.write_report("large", asked.out or home / "large.html", tracking_uri=uri)
        took = time.perf_counter() - began
        n_runs = len(open_study("large", uri).trials)
        print(f"{asked.trials} search trials, {n_runs} runs in all, {asked.tasks} tasks, {asked.epochs} epochs:")
        print(f"{took:.1f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
