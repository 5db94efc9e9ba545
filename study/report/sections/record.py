"""What happened, what it cost, and how to do it again."""

from __future__ import annotations

import shlex

from study.report.figure import Grid, Section
from study.report.findings import Findings
from study.report.rows import records
from study.report.words import number

_REASON = 160


def section(findings: Findings) -> Section:
    """Trials by stage and status, failures with their reasons, cost, hashes and commands."""
    trials = findings.stored.trials
    by_kind = trials.groupby(["stage", "method", "status"], sort=False)
    counts = by_kind.agg(trials=("trial", "size"), seconds=("seconds", "sum")).reset_index()
    cells = [
        [row["stage"], row["method"], row["status"], str(row["trials"]), number(row["seconds"] / 3600, 2)]
        for row in records(counts)
    ]
    heads = ["stage", "method", "status", "trials", "hours"]
    parts = [Grid("Trials and what they cost", heads, cells, "Hours: wall clock of the trials, summed.", names=3)]
    failed = trials[trials["status"] == "failed"]
    if len(failed):
        rows = [[row["trial"], row["reason"][:_REASON]] for row in records(failed)]
        parts.append(Grid("Failed trials", ["trial", "reason"], rows, names=2))
    parts.append(_provenance(findings))
    return Section("record", "What was run", [], parts, _commands(findings))


def _provenance(findings: Findings) -> Grid:
    study, tags = findings.study, findings.stored.tags
    rows = [
        ["begun (UTC)", f"{findings.stored.started:%Y-%m-%d %H:%M}"],
        ["code", tags.get("code_version", "unknown")],
        ["study file", tags.get("study_hash", "unknown")],
        ["search space", f"{study.search_space} ({tags.get('space_hash', 'unknown')})"],
        ["data", study.benchmark.data_digest or "made from the options of the benchmark"],
        ["seed of the search", str(study.seeds.search)],
        ["seeds of the reference", ", ".join(map(str, study.seeds.references))],
        ["seeds of final runs", ", ".join(map(str, study.seeds.final))],
    ]
    return Grid("Provenance", ["", ""], rows, names=2)


def _commands(findings: Findings) -> list[str]:
    name, file = shlex.quote(findings.stored.name), shlex.quote(f"{findings.stored.name}.yaml")
    made = [f"study run {file} --again", f"study final {name}"]
    if (carried := findings.stored.carried_over) is not None:
        scaled = "" if carried.lr_factor == 1.0 else f" --lr-factor {carried.lr_factor:g}"
        made = [
            f"study best {shlex.quote(carried.tuned_by)} --out best.yaml",
            f"study final best.yaml --with {file}{scaled}",
        ]
    return [f"# {file}: the artifact study.yaml of the study's parent run in MLflow", *made, f"study report {name}"]
