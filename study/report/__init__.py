"""One page per study that says what was found: sections from a stored study, written as HTML, Markdown and pictures.

Reads the store through `study.results` and writes nothing but its own files.
"""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.report.build import build_report
    from study.report.files import write_report
    from study.report.found_groups import FoundGroups, find_groups
    from study.report.several import build_comparison

__all__ = ["FoundGroups", "build_comparison", "build_report", "find_groups", "write_report"]

__getattr__ = lazy_names(
    __name__,
    {
        "FoundGroups": "found_groups",
        "build_comparison": "several",
        "build_report": "build",
        "find_groups": "found_groups",
        "write_report": "files",
    },
)
