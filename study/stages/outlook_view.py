"""An outlook for people: a table on a terminal, a line elsewhere."""

from rich.table import Table

from go4align.errors import one_line
from go4align.training import Watched
from study.results import Outlook

_MOST_TRIALS = 8


def table(outlook: Outlook, watched: Watched | None) -> Table:
    """Methods, then the trials that run."""
    shown = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", title=headline(outlook))
    best = f"best {watched.name}" if watched else ""
    for column in ("method", "done", "running", "stopped", "failed", best):
        shown.add_column(column, justify="left" if column == "method" else "right")
    for one in outlook.methods:
        counts = (str(number) if number else "" for number in (one.done, one.running, one.stopped, one.failed))
        shown.add_row(one_line(one.method), *counts, _score(one.best, watched))
    for trial in outlook.running[:_MOST_TRIALS]:
        place = f"epoch {trial.epoch} of {trial.epochs}"
        shown.add_row(f"  {one_line(trial.trial)}", place, "", "", "", _score(trial.score, watched), style="dim")
    if len(outlook.running) > _MOST_TRIALS:
        shown.add_row(f"  and {len(outlook.running) - _MOST_TRIALS} more", style="dim")
    return shown


def headline(outlook: Outlook) -> str:
    """How far it is, in a line."""
    of = f" of {outlook.total}" if outlook.total is not None else ""
    parts = [f"{outlook.stage}: {outlook.ended}{of} trials ended", f"{len(outlook.running)} running"]
    if outlook.left_s is not None:
        parts.append(f"about {duration(outlook.left_s)} left")
    if outlook.tracking:
        parts.append(outlook.tracking)
    return ", ".join(parts)


def line(outlook: Outlook, watched: Watched | None) -> str:
    """The same with the trials that run."""
    trials = [
        f"{one.trial} epoch {one.epoch} of {one.epochs}" + (f" {_score(one.score, watched)}" if watched else "")
        for one in outlook.running[:_MOST_TRIALS]
    ]
    more = len(outlook.running) - len(trials)
    return "; ".join([headline(outlook), *trials, *([f"and {more} more"] if more else [])])


def duration(seconds: float) -> str:
    """In the largest unit that leaves more than one."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _score(value: float | None, watched: Watched | None) -> str:
    return "" if value is None or watched is None else watched.text(value)
