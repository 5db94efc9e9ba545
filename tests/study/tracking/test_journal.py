import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from go4align.errors import UserError
from study.tracking.journal import Journal, JournalError, read_journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path)
    journal.append("r1", "open", data={"name": "s", "store": "http://a"})
    journal.append("r1", "start", "a", {"tags": {}})
    journal.append("r1", "log", "a", {"epoch": 1, "loss": float("nan")})
    return journal


def test_events_come_back_in_order(journal: Journal, tmp_path: Path) -> None:
    events = list(read_journal(tmp_path))
    assert [(e.seq, e.kind, e.trial, e.study_run) for e in events] == [
        (1, "open", "", "r1"),
        (2, "start", "a", "r1"),
        (3, "log", "a", "r1"),
    ]
    assert events[0].data == {"name": "s", "store": "http://a"}
    assert events[0].time_ms <= events[2].time_ms


def test_a_torn_last_line_is_left_out_and_then_removed(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"seq":4,"time_ms":1,"study_run":"r1","kind":"log","tri')
    assert [event.seq for event in read_journal(tmp_path)] == [1, 2, 3]
    again = Journal(tmp_path)
    again.append("r1", "log", "a", {"epoch": 2})
    assert [event.seq for event in read_journal(tmp_path)] == [1, 2, 3, 4]
    assert [record["epoch"] for record in again.records("r1", "a")] == [1, 2]


def test_a_journal_that_is_one_long_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"x" * 200_000)
    journal = Journal(tmp_path)
    assert journal.path.stat().st_size == 0
    assert journal.append("r1", "open").seq == 1


def test_garbled_lines_cost_no_others(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(lines[0] + b"\x00\xff garbage\n17\n" + b"".join(lines[1:]))
    assert [event.seq for event in read_journal(tmp_path)] == [1, 2, 3]
    assert [record["epoch"] for record in Journal(tmp_path).records("r1", "a")] == [1]


def test_one_process_at_a_time(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Another process is running the study"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path)


def test_no_permission_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(UserError, match=r"journal.jsonl cannot be opened: Is a directory\."):
        Journal(tmp_path)


def test_a_full_disk_leaves_no_half_line(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = journal.path.read_bytes(), os.write
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda file, line: write(file, line[:10]))
        with pytest.raises(JournalError, match="No space left") as caught:
            journal.append("r1", "log", "a", {"epoch": 2})
    assert journal.path.read_bytes() == before
    assert caught.value.event.data == {"epoch": 2}
    journal.append("r1", "log", "a", {"epoch": 3})
    assert [record["epoch"] for record in journal.records("r1", "a")] == [1, 3]


def test_what_append_returned_from_survives_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from study.tracking.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "while True:\n"
        "    print(journal.append('r1', 'log', 'a', {'epoch': journal.seq + 1, 'x': 'y' * 500}).seq, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(200):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
    Journal(tmp_path).close()
    events = [event.seq for event in read_journal(tmp_path)]
    assert events == list(range(1, len(events) + 1))
    assert len(events) >= (int(told[-1]) if told else 200)


def test_what_the_journal_says_of_a_run_of_the_study(journal: Journal) -> None:
    journal.append("r1", "start", "b", {"tags": {}})
    journal.append("r1", "finish", "b", {"status": "finished", "seconds": 2.0})
    run = journal.runs["r1"]
    assert (run.unfinished, set(run.results)) == (["a"], {"b"})
    journal.append("r1", "start", "b")
    assert run.unfinished == ["a", "b"]
    assert run.starts["b"].data == {"tags": {}}


def test_time_between_sessions_does_not_count(tmp_path: Path) -> None:
    lines = [(1, 0, "open"), (2, 5_000, "start"), (3, 900_000, "open"), (4, 903_000, "close")]
    keys, data = ("seq", "time_ms", "kind"), {"status": "finished", "search_status": "finished"}
    events = [dict(zip(keys, line, strict=True), study_run="r1", data=data) for line in lines]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert Journal(tmp_path).runs["r1"].wall_s == 8.0


def test_how_a_search_ended_outlasts_final_sessions(journal: Journal) -> None:
    run = journal.runs["r1"]
    assert run.search_status == "running"
    journal.append("r1", "close", data={"status": "failed", "search_status": "failed"})
    assert run.search_status == "failed"
    journal.append("r1", "close", data={"status": "interrupted", "search_status": "finished"})
    assert run.search_status == "finished"
