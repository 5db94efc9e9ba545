"""What a tracking store holds of studies, as frames and tables. Reads, and writes nothing anywhere."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.results.best import CARRIED_OVER
    from study.results.epochs import Progress
    from study.results.final_table import Candidate, FinalRow, FinalTable, candidates, final_id, main_csv
    from study.results.grouping_test import (
        ARMS,
        N_SEEDS,
        GroupingResult,
        Known,
        chosen_lrs,
        grouping_result,
        known_trials,
        lr_trials,
        question,
        seed_trials,
    )
    from study.results.outlook import MethodOutlook, Outlook, RunningTrial, outlook_of
    from study.results.stored import StoredStudy, exists, open_study
    from study.results.summaries import StudySummary, studies
    from study.results.times import MethodTime, compared, times_csv

__all__ = [
    "ARMS",
    "CARRIED_OVER",
    "N_SEEDS",
    "Candidate",
    "FinalRow",
    "FinalTable",
    "GroupingResult",
    "Known",
    "MethodOutlook",
    "MethodTime",
    "Outlook",
    "Progress",
    "RunningTrial",
    "StoredStudy",
    "StudySummary",
    "candidates",
    "chosen_lrs",
    "compared",
    "exists",
    "final_id",
    "grouping_result",
    "known_trials",
    "lr_trials",
    "main_csv",
    "open_study",
    "outlook_of",
    "question",
    "seed_trials",
    "studies",
    "times_csv",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ARMS": "grouping_test",
        "CARRIED_OVER": "best",
        "N_SEEDS": "grouping_test",
        "Candidate": "final_table",
        "FinalRow": "final_table",
        "FinalTable": "final_table",
        "GroupingResult": "grouping_test",
        "Known": "grouping_test",
        "MethodOutlook": "outlook",
        "MethodTime": "times",
        "Outlook": "outlook",
        "Progress": "epochs",
        "RunningTrial": "outlook",
        "StoredStudy": "stored",
        "StudySummary": "summaries",
        "candidates": "final_table",
        "chosen_lrs": "grouping_test",
        "compared": "times",
        "exists": "stored",
        "final_id": "final_table",
        "grouping_result": "grouping_test",
        "known_trials": "grouping_test",
        "lr_trials": "grouping_test",
        "main_csv": "final_table",
        "open_study": "stored",
        "outlook_of": "outlook",
        "question": "grouping_test",
        "seed_trials": "grouping_test",
        "studies": "summaries",
        "times_csv": "times",
    },
)
