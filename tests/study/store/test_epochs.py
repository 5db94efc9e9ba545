"""A trial's epochs come back as they were recorded; what is not whole is refused."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.store.epochs import epoch_table, read_epoch_table

NUMBERS = st.floats(allow_nan=False, width=64)


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Epochs of a trial with 1 to 4 tasks, with groups or without."""
    n_tasks = draw(st.integers(1, 4))
    row = st.lists(NUMBERS, min_size=n_tasks, max_size=n_tasks)
    shares = st.lists(st.floats(0, 1), min_size=n_tasks, max_size=n_tasks)
    grouped = draw(st.booleans())
    return [
        {
            "epoch": epoch,
            "lr": draw(NUMBERS),
            "wall_s": draw(NUMBERS),
            "monitored": draw(NUMBERS),
            "best": draw(NUMBERS),
            "train": {
                "losses": draw(row),
                "weights": draw(row),
                "groups": [m % 2 for m in range(n_tasks)] if grouped else None,
                "centres": draw(row) if grouped else None,
                "co_assignment": [draw(shares) for _ in range(n_tasks)] if grouped else None,
            },
            "val": {"losses": draw(row), "metrics": {f"t{m}/mae": draw(NUMBERS) for m in range(n_tasks)}},
        }
        for epoch in range(1, draw(st.integers(0, 3)) + 1)
    ]


@given(records())
def test_every_number_comes_back(written: list[dict[str, Any]]) -> None:
    names = ["t0", "t1", "t2", "t3"]
    values, shares = read_epoch_table(epoch_table(written, names))
    found = {(row.epoch, row.task, row.quantity): row.value for row in values.itertuples()}
    expected: dict[tuple[int, str, str], float] = {}
    between: dict[tuple[int, str, str], float] = {}
    for record in written:
        epoch, train = record["epoch"], record["train"]
        expected |= {(epoch, "", key): record[key] for key in ("lr", "wall_s", "monitored", "best")}
        for m, loss in enumerate(train["losses"]):
            task = names[m]
            expected |= {(epoch, task, "train/loss"): loss, (epoch, task, "train/weight"): train["weights"][m]}
            expected |= {(epoch, task, "val/loss"): record["val"]["losses"][m]}
            expected |= {(epoch, task, "val/mae"): record["val"]["metrics"][f"{task}/mae"]}
            if train["groups"]:
                expected |= {(epoch, task, "train/group"): train["groups"][m]}
                expected |= {(epoch, task, "train/group_centre"): train["centres"][m]}
                between |= {(epoch, task, names[n]): share for n, share in enumerate(train["co_assignment"][m])}
    assert found == expected
    assert len(values) == len(expected)
    assert {(row.epoch, row.task, row.other): row.share for row in shares.itertuples()} == between
    assert len(shares) == len(between)


def test_a_loss_that_was_no_number_is_none_there_either() -> None:
    record = {
        "epoch": 1, "lr": 0.1, "wall_s": 1.0, "monitored": math.inf, "best": math.inf,
        "train": {"losses": [math.nan], "weights": [1.0], "groups": None, "centres": None, "co_assignment": None},
        "val": {"losses": [math.inf], "metrics": {}},
    }  # fmt: skip
    values = read_epoch_table(epoch_table([record], ["a"]))[0].set_index("quantity")["value"]
    assert math.isnan(values["train/loss"])
    assert values["val/loss"] == math.inf


@pytest.mark.parametrize("length", [0, 1, 20, -1])
def test_a_half_written_file_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="not a whole parquet file"):
        read_epoch_table(epoch_table([], [])[:length])


def test_another_table_is_refused() -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"epoch": [1]}), file)
    with pytest.raises(ValueError, match="must have the columns epoch, task, other, quantity, value, found epoch"):
        read_epoch_table(file.getvalue())
