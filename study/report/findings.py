"""What a report is computed from: a study's frames, read once, and its final runs by method and seed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from go4align.benchmarks.base import Benchmark
from go4align.errors import UserError
from study.results import FinalRow, FinalTable, GroupingResult, StoredStudy, grouping_result
from study.spec import Reference

if TYPE_CHECKING:
    import pandas as pd

DELTA_M = "delta_m"


class Findings:
    """A study's results as sections of a report ask for them.

    Args:
        stored: the study.
    """

    def __init__(self, stored: StoredStudy) -> None:
        self.stored = stored
        self.study = stored.study
        self.no_table = ""
        """Why there is no table of final runs; empty where there is one."""

    @cached_property
    def benchmark(self) -> Benchmark:
        """The study's, as final runs read it."""
        return self.study.build_final_benchmark()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return self.benchmark.task_names

    @cached_property
    def table(self) -> FinalTable | None:
        """Of all final runs that there are, over whatever seeds; None where there are none, see `no_table`."""
        finished = self.stored.trials.query("stage == 'final' and status == 'finished'")
        seeds = sorted({*self.study.seeds.final, *finished["seed"].tolist()})  # `study final --seeds` makes more
        try:
            table = self.stored.final_table(seeds=seeds)
        except UserError as error:
            self.no_table = str(error)
            return None
        if not table.rows:
            self.no_table = f"There are no final runs yet: `study final {self.stored.name}` makes them."
            return None
        return table

    @cached_property
    def tuned(self) -> list[FinalRow]:
        """Tuned configurations over the final seeds, best mean Delta m first."""
        return self._rows("tuned")

    @cached_property
    def defaults(self) -> dict[str, FinalRow]:
        """The defaults over the final seeds, by method."""
        return {row.candidate.method: row for row in self._rows("default")}

    def _rows(self, origin: str) -> list[FinalRow]:
        rows = self.table.rows if self.table else ()
        return sorted((row for row in rows if row.candidate.origin == origin), key=lambda row: row.delta_m)

    @cached_property
    def tested(self) -> pd.DataFrame:
        """Test metrics of final runs: trials down, `task/metric` and `delta_m` across."""
        found = self.stored.metrics.query("stage == 'final' and split == 'test'")
        named = found.assign(key=(found["task"] + "/" + found["metric"]).str.removeprefix("/"))
        return named.pivot(index="trial", columns="key", values="value")

    def by_seed(self, row: FinalRow, key: str = DELTA_M) -> dict[int, float]:
        """A test metric of a configuration's runs by seed."""
        values = self.tested[key].to_dict()
        return {seed: float(values[trial]) for seed, trial in row.runs.items()}

    def reference(self) -> Reference | None:
        """What final runs are relative to; None where the store lacks it."""
        try:
            return self.stored.reference("final" if self.study.final_reference_differs else "search")
        except UserError:
            return None

    @cached_property
    def grouped(self) -> list[str]:
        """Methods whose trials have groups."""
        with_groups = set(self.stored.co_assignment["trial"].unique())
        trials = self.stored.trials.query("stage in ('search', 'final')")
        methods = trials.loc[trials["trial"].isin(with_groups), "method"]
        return list(dict.fromkeys(methods))

    @cached_property
    def grouping_test(self) -> GroupingResult | None:
        """What a test of grouping found; None where there was none."""
        try:
            return grouping_result(self.stored)
        except UserError:
            return None

    def searched(self, method: str | None = None) -> pd.DataFrame:
        """Search trials, of a method or of all, in the order they began."""
        found = self.stored.trials.query("stage == 'search'")
        return found if method is None else found[found["method"] == method]
