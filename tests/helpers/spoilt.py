"""Files without faults that tests spoil, names that are none, and what a refusal must look like."""

from pathlib import Path
from typing import Any

import yaml

STUDY: dict[str, Any] = {
    "name": "mine",
    "benchmark": {"name": "toy", "n_tasks": 3, "train_size": 64, "val_size": 8, "test_size": 8, "width": 4},
    "training": {
        "epochs": 2, "batch_size": 64, "lr": 0.01, "patience": 3, "clip_norm": 1.0, "precision": "bf16",
        "schedule": {"name": "plateau", "factor": 0.7, "patience": 5, "min_lr": 1e-5},
        "selection": {"name": "best", "metric": "mae"}, "optimizer": {"name": "adamw", "weight_decay": 0.1},
    },
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
        "target_units": "own", "split_seed": 1,
    },
    "variants": {"given": {"name": "go4align", "clustering": "spectral", "beta": 0.01}},
    "reference": "published",
}  # fmt: skip
SPACE: dict[str, Any] = {
    "benchmark": "toy",
    "common": {"lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True}},
    "methods": {
        "ls": {},
        "dwa": {"window": {"type": "int", "low": 1, "high": 30, "default": 25}},
        "cagrad": {"c": {"type": "float", "low": 0.1, "high": 1.0}},
        "go4align": {
            "beta": {"type": "float", "low": 1e-9, "high": 0.01, "log": True, "default": 1e-4},
            "n_groups": {"type": "categorical", "choices": [2, 3, "auto"], "default": 2},
            "smooth": {"type": "categorical", "choices": [True, False]},
        },
    },
}


NAMES = [
    "", " ", "../x", "a/b", "a'b", 'a" or 1=1', "x' or '1'='1", "%", "a\nb", "a.yaml", ".hidden", "-dash",
    "~nobody-here/x", "tоy", "ｔｏｙ", "a\u202eb", "a\x1b[31mb", "a\x00b", "\ud800", "[bold]", "[/]", "x" * 300, "1e3",
    "2024-01-01", "null", "Default", "all", "ls", "go4align", "auto", "none", "CON", ":memory:", "<script>", "{0}",
    "${HOME}", "é", "\ufeff", "b\udce9st",
]  # fmt: skip


def with_space(folder: Path) -> Path:
    """The folder, holding the search space that `STUDY` names."""
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
    return folder


def assert_clear(message: str) -> None:
    assert message.strip(), "it says something"
    assert message.isprintable(), "one line, which cannot steer a terminal or turn its text around"
    assert len(message) < 600
    assert "Traceback" not in message
