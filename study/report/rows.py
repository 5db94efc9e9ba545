"""Rows of frames as plain values, for sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Every row by column."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def lowest(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """The row with the lowest value of a column."""
    return records(frame.nsmallest(1, column))[0]


def highest(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """The row with the highest value of a column."""
    return records(frame.nlargest(1, column))[0]
