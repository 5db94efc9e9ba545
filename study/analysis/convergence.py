"""When each task of a run converges, and how far apart that is (the paper's Figure 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd

TOLERANCE = 0.05


def convergence_epochs(curves: pd.DataFrame, tolerance: float = TOLERANCE) -> pd.Series[float]:
    """The epoch at which each task has made all but `tolerance` of its gain.

    With v(e) the value after epoch e, lower is better, and b the best of all epochs, that is the first e with
    v(e) - b <= tolerance * (v(1) - b). A task that never gets better than after its first epoch has converged there.
    The paper shows curves and states no rule; this one does not depend on the tasks' units.

    Args:
        curves: a row per epoch, a column per task: a validation error or loss.
        tolerance: of the gain from the first epoch to the best.

    Returns:
        The epoch by task; NaN for a task without finite values.
    """
    found = {}
    for task in curves:
        values = curves[task].dropna()
        values = values[np.isfinite(values)]
        if values.empty:
            found[task] = np.nan
            continue
        best = values.min()
        close = values - best <= tolerance * (values.iloc[0] - best)
        found[task] = float(close.idxmax())
    return pd.Series(found, name="epoch", dtype="float64")


def convergence_difference(curves: pd.DataFrame, tolerance: float = TOLERANCE) -> float:
    """The standard deviation over tasks of `convergence_epochs`, in epochs; 0 where all converge together.

    Of the tasks at hand, so divided by their number; NaN with fewer than two.
    """
    epochs = convergence_epochs(curves, tolerance).dropna()
    return float(np.std(epochs)) if len(epochs) > 1 else float("nan")
