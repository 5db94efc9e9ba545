"""From a stored study to its report."""

from __future__ import annotations

from datetime import UTC, datetime

from study.report.figure import Report
from study.report.findings import Findings
from study.report.sections import answer, curves, grouping, record, result, search, time, tradeoffs
from study.results import StoredStudy

_SECTIONS = (answer, result, tradeoffs, grouping, search, curves, time, record)


def build_report(stored: StoredStudy) -> Report:
    """All that can be said of a study now; it may be running.

    Raises:
        UserError: this version does not know the study's file any more, or its benchmark is not installed here.
    """
    findings = Findings(stored)
    sections = [found for one in _SECTIONS if (found := one.section(findings)) is not None]
    study = findings.study
    status = stored.tags.get("status", "running")
    methods = f"{len(study.methods)} method{'s' if len(study.methods) > 1 else ''}"
    subtitle = (
        f"{methods} on {study.benchmark.name} ({len(findings.tasks)} tasks), begun {stored.started:%Y-%m-%d}, "
        f"{status}; read {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    )
    return Report(stored.name, subtitle, sections)
