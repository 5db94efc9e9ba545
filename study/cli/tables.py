"""What the commands print: rich tables, readable without colour and in a narrow terminal."""

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table as RichTable

from go4align.benchmarks.inspection import Inspection
from go4align.errors import one_line
from study.results import FinalRow, FinalTable, StudySummary
from study.spec import BestFile
from study.trials.records import TrialResult


class Table(RichTable):
    """Shows cells as they are: tags of a shared store may hold what would steer a terminal."""

    def add_row(self, *cells: str) -> None:  # type: ignore[override]  # texts only
        super().add_row(*map(one_line, cells))


def best_table(frozen: BestFile) -> Table:
    """The best configuration of each method on validation."""
    table = Table(title=f"{frozen.study}: best configuration of each method (validation)", title_justify="left")
    watched = " / ".join(dict.fromkeys(c.training.selection_rule.shown() for c in frozen.configurations))
    columns = (("method", "left"), (f"{watched} (val)", "right"), ("trial", "left"), ("configuration", "left"))
    for column, justify in columns:
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # rich's literal
    for c in frozen.configurations:
        table.add_row(c.method.key, f"{c.score:.1f}", c.trial, describe(c.method.options, c.training.lr))
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


def family_table(final: FinalTable) -> Table:
    """The row layout of the paper's ablations: mean change per family of tasks, and Delta m; tuned configurations."""
    table = Table(title="Δ per family of tasks, tuned, %", title_justify="left")
    for column in ("method", *final.families, "Δm"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in final.rows:
        if row.candidate.origin == "tuned":
            means = [
                statistics.fmean(change for key, change in row.changes.items() if key.partition("/")[0] in names)
                for names in final.families.values()
            ]
            table.add_row(row.candidate.method, *(f"{mean:+.1f}" for mean in means), f"{row.delta_m:+.1f}")
    return table


def task_table(final: FinalTable) -> Table:
    """Per-task relative changes of the tuned configurations: one task can dominate the mean.

    Tasks are lines and methods columns, or the other way round where there are more methods.
    """
    rows = [row for row in final.rows if row.candidate.origin == "tuned"]
    table = Table(title=f"Change per task against {final.reference_method}, tuned, %", title_justify="left")
    keys = list(rows[0].changes) if rows else []
    if len(rows) <= len(keys):
        table.add_column("task/metric")
        for row in rows:
            table.add_column(row.candidate.method, justify="right")
        for key in keys:
            table.add_row(key, *(f"{row.changes[key]:+.1f}" for row in rows))
    else:
        table.add_column("method")
        for key in keys:
            table.add_column(key.replace("/", "\n"), justify="right")
        for row in rows:
            table.add_row(row.candidate.method, *(f"{row.changes[key]:+.1f}" for key in keys))
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


def studies_table(summaries: Sequence[StudySummary]) -> Table:
    """The studies of a store."""
    table = Table(title="studies", title_justify="left")
    for column in ("study", "created (UTC)", "status", "trials", "best (val)", "trial-hours", "GPU-hours"):
        table.add_column(column)
    for s in summaries:
        counts = "; ".join(
            f"{stage}: " + ", ".join(f"{n} {status}" for status, n in statuses.items())
            for stage, statuses in s.trials.items()
        )
        best = next((f"{score:.1f} ({method})" for method, score in s.best.items()), "-")
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
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mebibytes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _median(row: FinalRow | None) -> str:
    return "-" if row is None else f"{row.median_change:.1f}"


def _with_error(row: FinalRow | None) -> str:
    if row is None:
        return "-"
    return f"{row.delta_m:.1f}" + (f" ± {row.delta_m_se:.1f}" if row.delta_m_se is not None else "")
