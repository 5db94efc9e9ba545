"""What methods cost: seconds of an epoch, measured one at a time, and memory; a table of the study's parent run."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

FILE = "time.csv"
PLAIN_SUM = "ls"
_COLUMNS = ("method", "epoch_s", "ratio", "low", "high", "epochs", "host_mib", "device_mib", "against")


@dataclass(frozen=True)
class MethodTime:
    """What one method costs.

    Attributes:
        method: its name.
        epoch_s: median seconds of an epoch, validation included.
        ratio: median over rounds of its seconds by those of `against` in the same round.
        low, high: the smallest and the largest of these ratios.
        epochs: how many rounds.
        host_mib, device_mib: the most memory, MiB; None where that is not measured.
        against: the method that `ratio` is relative to.
    """

    method: str
    epoch_s: float
    ratio: float
    low: float
    high: float
    epochs: int
    host_mib: float | None
    device_mib: float | None
    against: str


def compared(
    rounds: Sequence[Mapping[str, float]], peaks: Mapping[str, tuple[float | None, float | None]]
) -> list[MethodTime]:
    """Of the seconds of every method in each round, the quickest method first.

    Args:
        rounds: seconds by method.
        peaks: host and device memory by method, MiB.
    """
    methods = list(rounds[0])
    medians = {method: statistics.median(one[method] for one in rounds) for method in methods}
    against = PLAIN_SUM if PLAIN_SUM in medians else min(medians, key=lambda method: medians[method])
    found = []
    for method in methods:
        ratios = [one[method] / one[against] for one in rounds]
        spread = statistics.median(ratios), min(ratios), max(ratios)
        found.append(MethodTime(method, medians[method], *spread, len(rounds), *peaks[method], against))
    return sorted(found, key=lambda one: one.ratio)


def times_csv(times: Sequence[MethodTime]) -> str:
    """The table, a line per method."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    writer.writerows(["" if value is None else value for value in astuple(one)] for one in times)
    return out.getvalue()


def read_times(text: str) -> list[MethodTime]:
    """What `times_csv` wrote.

    Raises:
        ValueError: it is not such a table, or not all of it.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise ValueError(f"must have the columns {', '.join(_COLUMNS)} and a row")
    return [
        MethodTime(
            method=row["method"],
            epoch_s=float(row["epoch_s"]),
            ratio=float(row["ratio"]),
            low=float(row["low"]),
            high=float(row["high"]),
            epochs=int(row["epochs"]),
            host_mib=float(row["host_mib"]) if row["host_mib"] else None,
            device_mib=float(row["device_mib"]) if row["device_mib"] else None,
            against=row["against"],
        )
        for row in rows
    ]
