"""The distributed hyperparameter and grouping study: Ray Tune trials, Optuna search, MLflow records.

import study
study.run("qm9-demo")
study.best("qm9-demo", method="go4align")
study.final("qm9-demo", seeds=3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.api import best, final, limits, resume, run, run_or_resume, studies, sync, train, write_frozen

__all__ = ["best", "final", "limits", "resume", "run", "run_or_resume", "studies", "sync", "train", "write_frozen"]


def __getattr__(name: str) -> Any:
    """Import on first use: Ray, Optuna and MLflow take seconds."""
    if name in __all__:
        return getattr(import_module("study.api"), name)
    raise AttributeError(f"module 'study' has no attribute '{name}'")
