"""A study from request to end: a launch, made ready, its search and its final runs."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.stages.final import run_final
    from study.stages.grouping import run_grouping
    from study.stages.launch import Launch
    from study.stages.plan import FinalPlan, GroupingPlan
    from study.stages.prepared import Prepared, to_resume, to_run, to_run_or_resume
    from study.stages.progress import notices
    from study.stages.removal import Removal, remove_study
    from study.stages.search import run_search
    from study.stages.timing import time_study
    from study.stages.transfer import run_transfer

__all__ = [
    "FinalPlan",
    "GroupingPlan",
    "Launch",
    "Prepared",
    "Removal",
    "notices",
    "remove_study",
    "run_final",
    "run_grouping",
    "run_search",
    "run_transfer",
    "time_study",
    "to_resume",
    "to_run",
    "to_run_or_resume",
]

__getattr__ = lazy_names(
    __name__,
    {
        "FinalPlan": "plan",
        "GroupingPlan": "plan",
        "Launch": "launch",
        "Prepared": "prepared",
        "Removal": "removal",
        "notices": "progress",
        "remove_study": "removal",
        "run_final": "final",
        "run_grouping": "grouping",
        "run_search": "search",
        "run_transfer": "transfer",
        "time_study": "timing",
        "to_resume": "prepared",
        "to_run": "prepared",
        "to_run_or_resume": "prepared",
    },
)
