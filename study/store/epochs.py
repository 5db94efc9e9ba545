"""A trial's epochs as one table of long rows, kept in MLflow as `epochs.parquet`: written and read here."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.store.keys import task_name
from study.store.texts import read_file

if TYPE_CHECKING:
    import pandas as pd

FILE = "epochs.parquet"
COLUMNS = ("epoch", "task", "other", "quantity", "value")
CO_ASSIGNMENT = "co_assignment"

_Row = tuple[int, str, str, str, float | None]


def epoch_table(records: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> bytes:
    """The parquet file of a trial: a row per epoch, task and quantity.

    Columns: `epoch` (from 1), `task`, `other`, `quantity`, `value`. Quantities of a task:

    - `train/loss`, `train/weight`: means over the epoch's steps.
    - `train/group` (the one it was in most often; 0 has the smallest centre), `train/group_centre` (mean), and
      `co_assignment`, the share of steps in which it was in one group with the task `other`: methods with groups only.
    - `val/loss` and `val/METRIC`: after the epoch.

    Of the epoch itself, with an empty `task`: `monitored` (what selection watches, lower is better), `best` (the
    selection rule's value so far), `lr`, `wall_s`.

    Args:
        records: `EpochRecord`s as dictionaries.
        tasks: the task names.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.int32(), pa.string(), pa.string(), pa.string(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    rows = [row for record in records for row in _rows(record, tasks)]
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
    return file.getvalue()


def read_epochs(artifacts: str, uri: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A trial's epochs from its run: `epoch, task, quantity, value`, and apart `epoch, task, other, share`.

    Args:
        artifacts, uri: where the run's files are, and the store, see `read_file`.

    Raises:
        Exception: the file is missing or half-written (ValueError), or what MLflow and the network may raise.
    """
    return read_epoch_table(read_file(artifacts, uri, FILE))


def read_epoch_table(content: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `epoch_table` wrote, see `read_epochs`.

    Raises:
        ValueError: it is not such a table, or not all of it.
    """
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(content)).to_pandas()
    except (OSError, ValueError) as error:  # pyarrow's own are subclasses
        raise ValueError(f"not a whole parquet file: {error}") from None
    if tuple(rows) != COLUMNS:
        raise ValueError(f"must have the columns {', '.join(COLUMNS)}, found {', '.join(rows)}")
    between = rows["quantity"] == CO_ASSIGNMENT
    shares = rows[between].drop(columns="quantity").rename(columns={"value": "share"})
    return rows[~between].drop(columns="other"), shares


def _rows(record: Mapping[str, Any], tasks: Sequence[str]) -> Iterator[_Row]:
    epoch: int = record["epoch"]
    train, val = record["train"], record["val"]
    names = [task_name(tasks, m) for m in range(len(train["losses"]))]
    quantities = {
        "train/loss": train["losses"],
        "train/weight": train["weights"],
        "train/group": train["groups"],
        "train/group_centre": train["centres"],
        "val/loss": val["losses"],
    }
    for quantity, values in quantities.items():
        if values is not None:
            yield from ((epoch, name, "", quantity, value) for name, value in zip(names, values, strict=True))
    for key, value in val["metrics"].items():
        task, _, metric = key.rpartition("/")
        yield epoch, task, "", f"val/{metric}", value
    if train["co_assignment"] is not None:
        for name, shares in zip(names, train["co_assignment"], strict=True):
            yield from ((epoch, name, other, CO_ASSIGNMENT, share) for other, share in zip(names, shares, strict=True))
    for key in ("monitored", "best", "lr", "wall_s"):
        yield epoch, "", "", key, record[key]
