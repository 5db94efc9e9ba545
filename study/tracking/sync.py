"""`study sync`: what the journal of this machine has and MLflow has not goes there."""

from go4align.errors import UserError
from study.home import home
from study.spec.sections import is_name
from study.store.uri import uri_of
from study.tracking.journal import Journal, read_journal
from study.tracking.ledger import Ledger
from study.tracking.mlflow_writer import MlflowWriter
from study.tracking.sender import Notify, Sender


def sync_journal(
    name: str, uri: str, *, rebuild: bool = False, timeout_s: float = 600.0, notify: Notify
) -> tuple[int, int]:
    """Bring to MLflow what a study's journal has and MLflow has not.

    Args:
        name: the study.
        uri: the tracking store it goes to.
        rebuild: tell all of it again, to rebuild a store that was lost or has lost runs; also what was run for other
            stores, which otherwise stays out of this one.
        timeout_s: how long to try.
        notify: told in one line what goes wrong.

    Returns:
        How many events went there, and how many are left.

    Raises:
        UserError: this machine has no journal of the study, or the study is running.
    """
    folder = home() / "studies" / name
    if not is_name(name) or not (folder / "journal.jsonl").exists():
        raise UserError(f"This machine has no journal of a study '{name}' (looked in {folder}).")
    journal = Journal(folder)
    ledger = Ledger(folder, uri)
    try:
        own = ledger.own(journal)
        others = sorted({run.store for run in journal.runs.values() if run.store})
        if others and not (own or rebuild):
            known = ", ".join(map(uri_of, others))
            notify(f"'{name}' was not run for {uri_of(ledger.store)}, but for {known}: name it with --tracking-uri.")
        events = list(read_journal(folder)) if rebuild else ledger.missing(own)
        sender = Sender(MlflowWriter(uri, journal), ledger, notify)
        for event in events:
            sender.submit(event)
        sender.start()
        left = sender.stop(timeout_s) + sender.refused
    finally:
        journal.close()
    return len(events) - left, left
