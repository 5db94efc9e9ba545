"""What the commands of this folder share: whole numbers, a whole table, and wrong input in one line."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from cells import cells

from go4align.errors import UserError

HERE = Path(__file__).parent


def at_least_one(text: str) -> int:
    """Type of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, found '{text}'")
    return int(text)


def whole_table(preset: str) -> Path:
    """The preset's table.

    Raises:
        UserError: it is not there, cannot be read, or lacks trainings.
    """
    path = HERE / f"{preset}.parquet"
    remedy = f"python bench/table/make.py {preset}"
    if not path.exists():
        raise UserError(f"A table of '{preset}' is needed, found none. First: {remedy}")
    try:
        known = set(pd.read_parquet(path, columns=["cell"])["cell"])
    except Exception as error:  # whatever pyarrow says of a damaged file
        raise UserError(f"{path} cannot be read: {error}. Remove it, then: {remedy}") from None
    if missing := [cell for cell in cells(preset) if cell.key not in known]:
        raise UserError(f"The table lacks {len(missing)} trainings. First: {remedy}")
    return path


def in_one_line(main: Callable[[], None]) -> None:
    """Run a command; a `UserError` is its line and exit code 2."""
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(UserError.exit_code)
