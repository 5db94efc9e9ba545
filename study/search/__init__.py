"""Which trial comes next: given ones, or what Optuna proposes from those that have ended."""

from typing import TYPE_CHECKING

from go4align.lazy import lazy_names

if TYPE_CHECKING:
    from study.search.source import FixedTrials, OptunaSearch, Spent, TrialSource, check_grids
    from study.search.warm_start import LentTrials, lent_trials

__all__ = ["FixedTrials", "LentTrials", "OptunaSearch", "Spent", "TrialSource", "check_grids", "lent_trials"]

__getattr__ = lazy_names(
    __name__,
    {
        "FixedTrials": "source",
        "LentTrials": "warm_start",
        "OptunaSearch": "source",
        "Spent": "source",
        "TrialSource": "source",
        "check_grids": "source",
        "lent_trials": "warm_start",
    },
)
