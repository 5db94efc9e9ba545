"""What the study's own run says of it in MLflow: the best values of each method, and a description."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from go4align.training import Watched
from study.tracking.events import JournalledRun
from study.trials.records import Origin

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
    lines = [f"Study **{name}** of {len(methods)} methods on `{tags['benchmark']}`.", ""]
    if (summaries := _summaries(run, run.results)) and "watched" in run.opened.data:
        watched = Watched(*run.opened.data["watched"])
        best = sorted(summaries, key=lambda one: min(one.scores))
        lines += [
            f"| method | best validation {watched.name} of the search | test Δm %, defaults | test Δm %, tuned |",
            "|---|---:|---:|---:|",
            *(f"| {one.method} | {watched.text(min(one.scores))} | {one.final('default')} | {one.final('tuned')} |"
              for one in best),
            "",
        ]  # fmt: skip
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
        deltas: Delta m on the test split of complete final runs, percent, by origin.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.scores: list[float] = []
        self.deltas = defaultdict[str, list[float]](list)

    def metrics(self) -> Iterator[tuple[str, float]]:
        yield f"search/best_score/{self.method}", min(self.scores)
        for origin, values in self.deltas.items():
            yield f"final/{origin}_delta_m/{self.method}", fmean(values)

    def final(self, origin: Origin) -> str:
        values = self.deltas.get(origin)
        return f"{fmean(values):+.1f}" if values else ""


def _summaries(run: JournalledRun, results: Results) -> list[_Summary]:
    """Of the methods with a complete search trial, in the order they began."""
    found: dict[str, _Summary] = {}
    for trial, result in results.items():
        tags = run.starts[trial].data["tags"]
        summary = found.setdefault(tags["method"], _Summary(tags["method"]))
        if result["status"] != "finished":
            continue
        if tags["stage"] == "search" and result["score"] is not None:
            summary.scores.append(result["score"])
        if tags["stage"] == "final" and "test/delta_m" in result["metrics"]:
            summary.deltas[tags["origin"]].append(result["metrics"]["test/delta_m"])
    return [summary for summary in found.values() if summary.scores]
