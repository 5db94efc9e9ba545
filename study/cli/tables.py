"""What the commands print: rich tables, readable without colour and in a narrow terminal."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table as RichTable

from go4align.benchmarks.inspection import Inspection
from go4align.errors import one_line
from study.results import FinalRow, FinalTable, StudySummary
from study.spec import BestFile
from study.spec.study_file import fixed_label
from study.trials.records import TrialResult

if TYPE_CHECKING:
    from go4align.weighting.descriptions import Description
    from study.report import FoundGroups
    from study.results import GroupingResult, MethodTime


class Table(RichTable):
    """Shows cells as they are: tags of a shared store may hold what would steer a terminal."""

    def add_row(self, *cells: str) -> None:  # type: ignore[override]  # texts only
        super().add_row(*map(one_line, cells))


def best_table(frozen: BestFile) -> Table:
    """The best configuration of each method on validation."""
    tuned = f"tuned on {frozen.tuned_with}" if frozen.tuned_with else "validation"
    table = Table(title=f"{frozen.study}: best configuration of each method ({tuned})", title_justify="left")
    watched = [c.watched() for c in frozen.configurations]
    names = " / ".join(dict.fromkeys(w.name for w in watched))
    columns = (("method", "left"), (f"{names} (val)", "right"), ("trial", "left"), ("configuration", "left"))
    for column, justify in columns:
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # rich's literal
    fixed = {fixed_label(c.method.key) for c in frozen.configurations}  # a trial's mean weights, which none has trained
    for c, w in zip(frozen.configurations, watched, strict=True):
        table.add_row(
            c.method.key,
            "-" if c.method.key in fixed else w.text(c.score),
            c.trial,
            describe(c.method.options, c.training.lr),
        )
    return table


def methods_table(described: Mapping[str, Description]) -> Table:
    """Every method, a row each."""
    table = Table()
    for column in ("method", "combines", "a step costs", "source"):
        table.add_column(column, overflow="fold")
    for name, (kind, cost, source) in described.items():
        table.add_row(name, kind, cost, source)
    return table


def main_table(final: FinalTable) -> Table:
    """Defaults beside tuned values, per method, on the test split."""
    table = Table(title=f"{final.study}: test split, mean ± standard error over seeds", title_justify="left")
    table.add_column("method")
    memory = ["MiB"] if final.on_device else []
    for column in ("published Δm %", "median", "tuned Δm %", "median", "MR", "s/epoch", *memory, "seeds"):
        table.add_column(column, justify="right")
    for method, default, tuned in _by_method(final):
        shown = tuned or default
        if shown is None:
            continue
        cells = [cell for row in (default, tuned) for cell in (_with_error(row), _median(row))]
        taken = [_mebibytes(shown.peak_device_mib) for _ in memory]
        table.add_row(method, *cells, f"{shown.mean_rank:.2f}", f"{shown.epoch_s:.2f}", *taken, str(shown.seeds))
    if final.reference_method == "stl":
        table.add_row("stl", "-", "-", "0", "0", "-", "-", *("-" for _ in memory), "-")
    table.caption = (
        f"Δm: mean over metrics of the change against {_reference(final)}, lower is better; "
        "median: over metrics; MR: mean rank among the tuned methods"
    )
    errors = [row.reference_se for row in final.rows if row.reference_se is not None]
    if errors:
        table.caption += (
            f"; ±: over seeds, for comparing methods; against zero the reference's error of {min(errors):.1f} to "
            f"{max(errors):.1f} comes on top (root of the sum of squares)"
        )
    table.caption += f"; {final.budgets}"
    if final.data_note:
        table.caption += f"; data: {final.data_note}"
    if memory:
        table.caption += "; MiB: the most that tensors took on a GPU"
    table.caption_justify = "left"
    return table


def _reference(final: FinalTable) -> str:
    whose = "single-task learning" if final.reference_method == "stl" else "the method's runs"
    return f"{whose} ({final.reference_method}, {final.reference})"


def configuration_table(final: FinalTable) -> Table:
    """The defaults and what tuning found, per method."""
    table = Table(title="configurations", title_justify="left")
    for column in ("method", "published defaults", "tuned"):
        table.add_column(column)
    for method, *rows in _by_method(final):
        configurations = [row.candidate.configuration if row else None for row in rows]
        table.add_row(method, *(describe(c.method.options, c.training.lr) if c else "-" for c in configurations))
    return table


def family_table(final: FinalTable) -> Table | None:
    """The paper's ablations read so: mean change per family of tasks, and Delta m; tuned configurations.

    Methods are lines and families columns, or the other way round where a terminal is too narrow for all families. None
    where each family is one metric, and `task_table` says the same.
    """
    rows = _tuned(final)
    if all(len(final.families) == len(row.changes) for row in rows):
        return None
    changes = {
        row.candidate.method: {
            **{name: _mean_change(row, tasks) for name, tasks in final.families.items()},
            "Δm": row.delta_m,
        }
        for row in rows
    }
    return _changes_table(
        "Δ per family of tasks, tuned, %", "family", changes, methods_down=len(final.families) <= _MOST_COLUMNS
    )


def task_table(final: FinalTable) -> Table:
    """Per-task relative changes of the tuned configurations: one task can dominate the mean.

    Tasks are lines and methods columns, or the other way round where there are more methods.
    """
    changes = {row.candidate.method: dict(row.changes) for row in _tuned(final)}
    n_keys = max(map(len, changes.values()), default=0)
    title = f"Change per task against {final.reference_method}, tuned, %"
    return _changes_table(title, "task/metric", changes, methods_down=len(changes) > n_keys)


_MOST_COLUMNS = 8
_MOST_TASKS = 15


def _tuned(final: FinalTable) -> list[FinalRow]:
    return [row for row in final.rows if row.candidate.origin == "tuned"]


def _mean_change(row: FinalRow, tasks: Collection[str]) -> float:
    return statistics.fmean(change for key, change in row.changes.items() if key.partition("/")[0] in tasks)


def _changes_table(title: str, what: str, changes: Mapping[str, Mapping[str, float]], *, methods_down: bool) -> Table:
    """Changes of each method, by what changes."""
    table = Table(title=title, title_justify="left")
    keys = list(next(iter(changes.values()), {}))
    lines, columns = (list(changes), keys) if methods_down else (keys, list(changes))
    table.add_column("method" if methods_down else what)
    for column in columns:
        table.add_column(column.replace("/", "\n") if methods_down else column, justify="right")
    for line in lines:
        cells = [changes[line][c] if methods_down else changes[c][line] for c in columns]
        table.add_row(line, *(f"{cell:+.1f}" for cell in cells))
    return table


def _by_method(final: FinalTable) -> list[tuple[str, FinalRow | None, FinalRow | None]]:
    rows = {row.candidate.key: row for row in final.rows}
    methods = dict.fromkeys(row.candidate.method for row in final.rows)
    return [(method, rows.get((method, "default")), rows.get((method, "tuned"))) for method in methods]


def metrics_table(result: TrialResult) -> Table:
    """Validation and test metrics of one run; the changes against single-task learning where there is a reference."""
    table = Table(title="metrics of the selected epochs", title_justify="left")
    table.add_column("metric")
    splits = list(dict.fromkeys(key.partition("/")[0] for key in result.metrics if "/" in key))
    for split in splits:
        table.add_column(split, justify="right")
    for key in dict.fromkeys(key.partition("/")[2] for key in result.metrics if "/" in key):
        table.add_row(key, *(_cell(result.metrics.get(f"{split}/{key}")) for split in splits))
    return table


def findings_table(name: str, inspection: Inspection) -> Table:
    """What a look at data found, and what to do about it."""
    table = Table(title=f"{name}: what was found", title_justify="left")
    for column in ("", "of", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for finding in inspection.findings:
        mark = "" if finding.severity == "fine" else finding.severity
        table.add_row(mark, finding.subject, finding.found, finding.remedy)
    return table


def group_tables(found: FoundGroups) -> list[Table | str]:
    """The groups, how often tasks share one, and what is to be said of them."""
    groups: dict[int, list[str]] = {}
    for task, label in found.labels.items():
        groups.setdefault(label, []).append(task)
    listing = Table(title=f"{found.study}: groups of {found.method} ({found.what})", title_justify="left")
    listing.add_column("group", justify="right")
    listing.add_column("tasks", overflow="fold")
    for label, tasks in groups.items():
        listing.add_row(str(label), ", ".join(tasks))
    shown: list[Table | str] = [*found.section.sentences, listing]
    return [*shown, _shares_table(found)] if len(found.labels) <= _MOST_TASKS else shown


def time_table(times: Sequence[MethodTime]) -> Table:
    """Seconds and memory of each method, the quickest first."""
    against = times[0].against
    table = Table(title="What each method costs, one at a time", title_justify="left")
    on_device = any(one.device_mib is not None for one in times)
    heads = ["method", "s/epoch", f"/ {against}", "smallest to largest", "host MiB"]
    for head in [*heads, *(["GPU MiB"] if on_device else [])]:
        table.add_column(head, justify="left" if head == "method" else "right")
    for one in times:
        memory = [_mebibytes(one.host_mib), *([_mebibytes(one.device_mib)] if on_device else [])]
        table.add_row(one.method, f"{one.epoch_s:.3g}", f"{one.ratio:.2f}", f"{one.low:.2f} to {one.high:.2f}", *memory)
    table.caption = f"Medians of {times[0].epochs} epochs, validation included; methods took turns, alone in each."
    table.caption_justify = "left"
    return table


def grouping_table(found: GroupingResult) -> Table:
    """The arms of a test of grouping, and how the grouped one compares with each."""
    k = found.question.k
    table = Table(title=f"Does grouping help? K = {k} groups, {len(found.seeds)} seeds", title_justify="left")
    for column in ("arm", "lr", "Δm %", "grouped less this", "95 % interval", "p (Holm)", "grouped is"):
        table.add_column(column, justify="left" if column in {"arm", "grouped is"} else "right")
    for arm in found.arms:
        mean = f"{statistics.fmean(arm.delta_m.values()):.1f}"
        if arm.against is None:
            table.add_row(arm.arm, f"{arm.lr:.3g}", mean, "", "", "", "")
            continue
        difference = arm.against.difference
        cells = [f"{difference.mean:+.1f}", f"{difference.low:+.1f} to {difference.high:+.1f}"]
        p = "-" if arm.p is None else f"{arm.p:.3f}"
        table.add_row(arm.arm, f"{arm.lr:.3g}", mean, *cells, p, arm.outcome)
    table.caption = (
        "Test Δm, lower is better; paired by seed; intervals: expanded percentile bootstrap; p: exact sign-flip test, "
        "corrected by Holm for all comparisons. All arms have weights of the same sum, and each its own lr from the "
        "same grid."
    )
    table.caption_justify = "left"
    return table


def _shares_table(found: FoundGroups) -> Table:
    table = Table(title="Share of steps in one group, %", title_justify="left")
    table.add_column("task")
    for task in found.shares.columns:
        table.add_column(str(task), justify="right")
    for task in found.shares.index:
        table.add_row(str(task), *(f"{100 * share:.0f}" for share in found.shares.loc[task]))
    return table


def studies_table(summaries: Sequence[StudySummary]) -> Table:
    """The studies of a store."""
    caption = "best (val): of whatever the study's selection watches, lower is better; a metric like f1 is negative"
    table = Table(title="studies", title_justify="left", caption=caption, caption_justify="left")
    for column in ("study", "created (UTC)", "status", "trials", "best (val)", "trial-hours", "GPU-hours"):
        table.add_column(column)
    for s in summaries:
        counts = "; ".join(
            f"{stage}: " + ", ".join(f"{n} {status}" for status, n in statuses.items())
            for stage, statuses in s.trials.items()
        )
        best = next((f"{score:.4g} ({method})" for method, score in s.best.items()), "-")
        created = s.created.strftime("%Y-%m-%d %H:%M")
        table.add_row(s.name, created, _status(s), counts, best, f"{s.trial_hours:.2f}", f"{s.gpu_hours:.2f}")
    return table


def _status(summary: StudySummary) -> str:
    if (last := summary.silent_since) is not None:
        today = last.date() == datetime.now(UTC).date()
        return f"no sign of life since {last:{'%H:%M' if today else '%Y-%m-%d %H:%M'}}"
    return summary.status + (f", {summary.backlog} events behind" if summary.backlog else "")


def describe(options: Mapping[str, Any], lr: float) -> str:
    """Hyperparameters in one line."""
    return ", ".join(f"{key}={_number(value)}" for key, value in [("lr", lr), *options.items()])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_number(part)}" for key, part in value.items()) + "}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mebibytes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _median(row: FinalRow | None) -> str:
    return "-" if row is None else f"{row.median_change:.1f}"


def _with_error(row: FinalRow | None) -> str:
    if row is None:
        return "-"
    return f"{row.delta_m:.1f}" + (f" ± {row.delta_m_se:.1f}" if row.delta_m_se is not None else "")
