"""What the study's own run says of it in MLflow: the best values of each method, and a description."""

import json
import math
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from go4align.training import Watched
from study.tracking.events import JournalledRun

STUDY = "Study **"
"""How a description begins; one that begins otherwise is somebody's own."""

Results = Mapping[str, Mapping[str, Any]]


def best_metrics(run: JournalledRun, results: Results) -> dict[str, float]:
    """By method: the best score of its search, and its Delta m on the test split as the mean over final seeds.

    Args:
        run: of the study.
        results: of its trials by id, as "finish" events hold them.
    """
    return {key: value for summary in _summaries(run, results) for key, value in summary.metrics()}


def describe(run: JournalledRun) -> str:
    """A description in Markdown: the result so far, and the commands that go on from it."""
    assert run.opened is not None
    tags = run.opened.data["tags"]
    name = tags["study"]
    methods = json.loads(tags["study_file"])["methods"]
    lines = [f"{STUDY}{name}** of {len(methods)} methods on `{tags['benchmark']}`.", ""]
    if (summaries := _summaries(run, run.results)) and "watched" in run.opened.data:
        watched = Watched(*run.opened.data["watched"])
        lines += [
            f"| method | best validation {watched.name} of the search | test Δm %, defaults | test Δm %, tuned |",
            "|---|---:|---:|---:|",
            *(summary.row(watched) for summary in summaries),
            "",
        ]
    lines += [
        f"- its best configurations: `study best {name}`",
        f"- published defaults and tuned ones over the final seeds: `study final {name}`",
        f"- a page with all that was found: `study report {name}`",
        f"- its groups, and whether grouping helps: `study groups {name}`, `study groups {name} --test`",
        "- the study file and tables are this run's artifacts; networks of final runs are the experiment's models",
    ]
    return "\n".join(lines)


class _Summary:
    """What one method's trials came to.

    Attributes:
        method: its name.
        scores: of complete search trials.
        deltas: Delta m on the test split of complete final runs, percent, by origin: of the configuration that was run
            last, since a search that went on, or another learning rate, may have run others before.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.scores: list[float] = []
        self.deltas: dict[str, list[float]] = {}
        self._last: dict[str, str] = {}

    def add_final(self, origin: str, configuration: str, delta_m: float) -> None:
        if self._last.get(origin) != configuration:
            self._last[origin] = configuration
            self.deltas[origin] = []
        self.deltas[origin].append(delta_m)

    def metrics(self) -> Iterator[tuple[str, float]]:
        if self.scores:
            yield f"search/best_score/{self.method}", min(self.scores)
        for origin, values in self.deltas.items():
            yield f"final/{origin}_delta_m/{self.method}", fmean(values)

    def row(self, watched: Watched) -> str:
        """A line of the table."""
        best = watched.text(min(self.scores)) if self.scores else ""
        finals = (self.deltas.get(origin) for origin in ("default", "tuned"))
        cells = [best, *(f"{fmean(values):+.1f}" if values else "" for values in finals)]
        return f"| {self.method} | {' | '.join(cells)} |"


def _summaries(run: JournalledRun, results: Results) -> list[_Summary]:
    """Of the methods with a complete search trial or final run, best score first."""
    found: dict[str, _Summary] = {}
    for trial, result in list(results.items()):  # the driver may add to them meanwhile
        start = run.starts.get(trial)
        if start is None or result["status"] != "finished":
            continue
        tags = start.data["tags"]
        summary = found.setdefault(tags["method"], _Summary(tags["method"]))
        if tags["stage"] == "search" and result["score"] is not None:
            summary.scores.append(result["score"])
        if tags["stage"] == "final" and "test/delta_m" in result["metrics"]:
            summary.add_final(tags["origin"], tags["configuration"], result["metrics"]["test/delta_m"])
    told = [summary for summary in found.values() if summary.scores or summary.deltas]
    return sorted(told, key=lambda summary: min(summary.scores, default=math.inf))
