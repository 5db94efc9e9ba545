"""Where a falling curve bends."""

from __future__ import annotations

from typing import Any

import pandas as pd


def elbow(x: pd.Series[Any], y: pd.Series[Any]) -> int:
    """The x at which a falling curve bends most: farthest below the line between its ends, both axes scaled to 1
    (Satopää et al. 2011, "Finding a kneedle in a haystack")."""
    across = (x - x.min()) / ((x.max() - x.min()) or 1)
    down = (y - y.min()) / ((y.max() - y.min()) or 1)
    line = down.iloc[0] + (down.iloc[-1] - down.iloc[0]) * across
    return int(x.loc[(line - down).idxmax()])
