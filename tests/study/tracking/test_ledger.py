"""Which events a store has: of each run by itself, and of all of it where nothing is known."""

from pathlib import Path

import pytest

from study.tracking.events import Event
from study.tracking.journal import Journal
from study.tracking.ledger import Ledger


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path)
    journal.append("r1", "open", data={"store": "http://a"})
    journal.append("r1", "start", "a", {"tags": {}})
    journal.append("r1", "log", "a", {"epoch": 1})
    return journal


def missing(folder: Path, journal: Journal, uri: str = "http://a") -> list[Event]:
    """By a ledger of its own, as the next process reads it."""
    return Ledger(folder, uri).missing(list(journal.runs.values()))


def test_what_a_store_lacks(journal: Journal, tmp_path: Path) -> None:
    first, second, third = missing(tmp_path, journal)
    ledger = Ledger(tmp_path, "http://a")
    ledger.mark([first])
    assert missing(tmp_path, journal) == [second, third]
    ledger.mark([second, third], refused={second.seq})
    assert missing(tmp_path, journal) == [second]
    assert missing(tmp_path, journal, "http://other") == [first, second, third]
    ledger.mark([second])
    assert missing(tmp_path, journal) == []


def test_runs_are_counted_apart(journal: Journal, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "http://a")
    ledger.mark([journal.append("r2", "open", data={"store": "http://a"})])
    assert [event.seq for event in missing(tmp_path, journal)] == [1, 2, 3]
    ledger.mark(missing(tmp_path, journal))
    assert missing(tmp_path, journal) == []


@pytest.mark.parametrize("content", ["", "[]", '{"half', "null"])
def test_a_damaged_file_means_telling_everything_again(content: str, journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "taken.json").write_text(content)
    assert len(missing(tmp_path, journal)) == 3


def test_a_run_is_kept_in_the_store_of_its_newest_session(journal: Journal, tmp_path: Path) -> None:
    def own(uri: str) -> list[str]:
        return [run.id for run in Ledger(tmp_path, uri).own(journal)]

    journal.append("r2", "open", data={"store": "http://***@b"})
    assert (own("http://a"), own("http://me:secret@b"), own("http://c")) == (["r1"], ["r2"], [])
    journal.append("r1", "open", data={"store": "http://c"})
    assert (own("http://a"), own("http://c")) == ([], ["r1"])
    journal.append("without-beginning", "start", "a")
    assert own("http://c") == ["r1", "without-beginning"]


def test_no_password_is_written_and_a_new_one_changes_nothing(journal: Journal, tmp_path: Path) -> None:
    Ledger(tmp_path, "http://me:secret@b").mark(missing(tmp_path, journal))
    assert "secret" not in (tmp_path / "taken.json").read_text()
    assert missing(tmp_path, journal, "http://me:changed@b") == []
