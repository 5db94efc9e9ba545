"""`study sync`: what the journal of this machine has and MLflow has not goes there."""

from go4align.errors import UserError
from study.background import Background, Notify
from study.config import is_name
from study.home import home, tracking_uri
from study.journal import Journal, Taken, read_journal
from study.mlflow_tracker import to_stderr
from study.mlflow_writer import MlflowWriter


def sync(
    name: str, uri: str | None = None, *, everything: bool = False, timeout_s: float = 600.0, notify: Notify = to_stderr
) -> tuple[int, int]:
    """Bring to MLflow what a study's journal has and MLflow has not.

    Args:
        name: the study.
        uri: the tracking store it goes to.
        everything: tell all of it again, to rebuild a store that lost runs; also what was run for other stores, which
            otherwise stays out of this one.
        timeout_s: how long to try.
        notify: told what goes wrong.

    Returns:
        How many events went there, and how many are left.

    Raises:
        UserError: this machine has no journal of the study, the study is running, or the URI is bad.
    """
    uri, folder = tracking_uri(uri), home() / "studies" / name
    if not is_name(name) or not (folder / "journal.jsonl").exists():
        raise UserError(f"This machine has no journal of a study '{name}' (looked in {folder}).")
    journal, taken = Journal(folder), Taken(folder, uri)
    try:
        background = Background(MlflowWriter(uri, journal), taken, notify)
        own = taken.own(journal)
        others = sorted({store for run in journal.runs.values() for store in run.stores})
        if not (own or everything) and others:
            notify(f"'{name}' was not run for {taken.store}, but for {', '.join(others)}: name it with --tracking-uri.")
        events = list(read_journal(folder)) if everything else taken.missing(own)
        for event in events:
            background.submit(event)
        background.start()
        left = background.stop(timeout_s) + background.refused
    finally:
        journal.close()
    return len(events) - left, left
