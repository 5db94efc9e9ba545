"""A trial's epochs as one table: a row per epoch and task, kept in MLflow as `epochs.parquet`."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from study.schema import task_name

COLUMNS = ("epoch", "task", "train_loss", "val_loss", "weight", "group", "group_centre", "co_assignment")


def epoch_table(records: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> bytes:
    """The parquet file of a trial.

    Columns: `epoch` (from 1), `task`, `train_loss`, `val_loss`, `weight` (means over the epoch's steps), `group` (the
    one it was in most often; 0 has the smallest centre), `group_centre` (mean), and `co_assignment`: the share of steps
    in which the task was in one group with each task, in the order of the epoch's rows. So the rows of an epoch stack
    to its M x M co-assignment matrix: `np.stack(table[table.epoch == 3].co_assignment)`. The last three are null for
    methods without groups.

    Args:
        records: `EpochRecord`s as dictionaries.
        tasks: the task names.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for record in records for row in _rows(record, tasks)]
    types = (pa.int32(), pa.string(), *[pa.float64()] * 3, pa.int32(), pa.float64(), pa.list_(pa.float64()))
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
    return file.getvalue()


def _rows(record: Mapping[str, Any], tasks: Sequence[str]) -> list[tuple[Any, ...]]:
    train, n_tasks = record["train"], len(record["train"]["losses"])
    nothing = [None] * n_tasks
    return list(
        zip(
            [record["epoch"]] * n_tasks,
            [task_name(tasks, m) for m in range(n_tasks)],
            train["losses"],
            record["val"]["losses"],
            train["weights"],
            train["groups"] or nothing,
            train["centres"] or nothing,
            train["co_assignment"] or nothing,
            strict=True,
        )
    )
