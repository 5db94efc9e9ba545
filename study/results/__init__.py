"""What a tracking store holds of studies, as frames and tables. Reads, and writes nothing anywhere."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.results.final_table import Candidate, FinalRow, FinalTable, candidates, final_id, main_csv
    from study.results.stored import StoredStudy, exists, open_study
    from study.results.summaries import StudySummary, studies

__all__ = [
    "Candidate",
    "FinalRow",
    "FinalTable",
    "StoredStudy",
    "StudySummary",
    "candidates",
    "exists",
    "final_id",
    "main_csv",
    "open_study",
    "studies",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Candidate": "final_table",
        "FinalRow": "final_table",
        "FinalTable": "final_table",
        "StoredStudy": "stored",
        "StudySummary": "summaries",
        "candidates": "final_table",
        "exists": "stored",
        "final_id": "final_table",
        "main_csv": "final_table",
        "open_study": "stored",
        "studies": "summaries",
    },
)
