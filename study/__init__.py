"""The distributed hyperparameter and grouping study: Ray Tune trials, Optuna search, MLflow records.

import study
study.run("qm9-demo", max_trials=8)
study.best("qm9-demo", method="go4align")
study.final("qm9-demo", seeds=3)
study.open_study("qm9-demo").trials
"""

from typing import TYPE_CHECKING, Any

from go4align.lazy import lazy_names
from study.extra import require_extra

if TYPE_CHECKING:
    from study.api import (
        best,
        does_grouping_help,
        final,
        groups,
        remove,
        resume,
        run,
        run_or_resume,
        studies,
        sync,
        time_methods,
        train,
        write_best,
        write_report,
    )
    from study.results import open_study
    from study.stages import Launch

__all__ = [
    "Launch",
    "best",
    "does_grouping_help",
    "final",
    "groups",
    "open_study",
    "remove",
    "resume",
    "run",
    "run_or_resume",
    "studies",
    "sync",
    "time_methods",
    "train",
    "write_best",
    "write_report",
]

_named = lazy_names(
    __name__,
    {
        "Launch": "stages",
        "best": "api",
        "does_grouping_help": "api",
        "final": "api",
        "groups": "api",
        "open_study": "results",
        "remove": "api",
        "resume": "api",
        "run": "api",
        "run_or_resume": "api",
        "studies": "api",
        "sync": "api",
        "time_methods": "api",
        "train": "api",
        "write_best": "api",
        "write_report": "api",
    },
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        require_extra()
    return _named(name)
