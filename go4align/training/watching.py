"""The value that selection watches, validation Delta m, the loss or a metric's mean over tasks, and its name."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import NamedTuple

from go4align.benchmarks.base import Benchmark
from go4align.errors import unknown_name
from go4align.metrics import Evaluation, delta_m, relative_changes

Monitor = Callable[[Evaluation], float]
"""From a validation `Evaluation` to the watched value, lower is better."""

DELTA_M = "delta_m"
LOSS = "loss"


def monitor_of(
    watched: str, benchmark: Benchmark, reference: Mapping[str, float] | None = None, task: int | None = None
) -> Monitor:
    """How to read the watched value off an evaluation.

    Args:
        watched: "delta_m" against `reference`, and the loss where there is none (a reference run itself); "loss"; or
            the name of a metric, whose mean over the tasks that have it is taken, negative where higher is better.
        benchmark: whose tasks and directions.
        reference: single-task metrics by `task/metric`.
        task: of a single-task run, whose own loss or metric is watched; default all tasks, in the mean. A task that
            lacks the metric is watched by its loss.

    Raises:
        UserError: the benchmark has no metric of that name.
    """
    check_watched(watched, benchmark)
    if watched == DELTA_M and reference:
        directions = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
        return lambda evaluation: delta_m(relative_changes(evaluation.metrics, reference, directions))
    names = benchmark.task_names if task is None else (benchmark.task_names[task],)
    signs = {
        key: -1.0 if metric.higher_is_better else 1.0
        for key, metric in benchmark.metrics().items()
        if metric.name == watched and key.rpartition("/")[0] in names
    }
    if signs:
        return lambda evaluation: fmean(sign * evaluation.metrics[key] for key, sign in signs.items())
    if task is not None:
        return lambda evaluation: evaluation.losses[task]
    return lambda evaluation: math.fsum(evaluation.losses) / len(evaluation.losses)


ANYWHERE = (DELTA_M, LOSS)
"""What can be watched on every benchmark."""


class Watched(NamedTuple):
    """How people read watched values, which are lower where better whatever is watched.

    Attributes:
        name: what is watched.
        higher_is_better: whether that is higher where better.
        form: of its values, as `format` takes it.
    """

    name: str
    higher_is_better: bool = False
    form: str = ".4g"

    def text(self, value: float) -> str:
        """A watched value in the direction of what is watched."""
        return format(-value if self.higher_is_better else value, self.form)


def watched_by(watched: str, benchmark: Benchmark | None, *, reference: bool = True) -> Watched:
    """How the watched value is read; arguments as for `monitor_of`, `reference` whether there is one.

    Delta m and the loss are read alike on every benchmark, which then need not be built.
    """
    if watched == DELTA_M:
        return Watched("Δm %", form=".1f") if reference else Watched(LOSS)
    metrics = benchmark.metrics().values() if benchmark else ()
    return Watched(watched, any(metric.higher_is_better for metric in metrics if metric.name == watched))


def check_watched(watched: str, benchmark: Benchmark) -> None:
    """Refuse a name that is neither "delta_m", "loss" nor a metric of the benchmark."""
    known = [*ANYWHERE, *dict.fromkeys(metric.name for metric in benchmark.metrics().values())]
    if watched not in known:
        raise unknown_name(f"metric for `selection` on the benchmark '{benchmark.name}'", watched, known)
