"""A study from request to end: a launch, made ready, its search and its final runs."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.stages.final import run_final
    from study.stages.launch import Launch
    from study.stages.plan import FinalPlan
    from study.stages.prepared import Prepared, to_resume, to_run, to_run_or_resume
    from study.stages.progress import notices
    from study.stages.removal import Removal, remove_study
    from study.stages.search import run_search

__all__ = [
    "FinalPlan",
    "Launch",
    "Prepared",
    "Removal",
    "notices",
    "remove_study",
    "run_final",
    "run_search",
    "to_resume",
    "to_run",
    "to_run_or_resume",
]

__getattr__ = lazy_names(
    __name__,
    {
        "FinalPlan": "plan",
        "Launch": "launch",
        "Prepared": "prepared",
        "Removal": "removal",
        "notices": "progress",
        "remove_study": "removal",
        "run_final": "final",
        "run_search": "search",
        "to_resume": "prepared",
        "to_run": "prepared",
        "to_run_or_resume": "prepared",
    },
)
