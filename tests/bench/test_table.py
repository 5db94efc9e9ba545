"""The commands that replay searches against the table: a short run, and wrong input in one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "bench" / "table"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_searches_are_replayed() -> None:
    done = run(TABLE / "search.py", "chosen", "--preset", "toy", "--searches", "1", "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("| ")]) == 1 + 6
    rungs = run(TABLE / "rungs.py", "--preset", "toy")
    assert rungs.returncode == 0 and "| go4align |" in rungs.stdout, rungs.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--searches", "0"], "--searches: must be a whole number of at least 1, found '0'"),
        (["--search", "foo"], "--search: `foo`: Unknown key 'foo'"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_wrong_input_is_one_line(arguments: list[str], told: str) -> None:
    done = run(TABLE / "search.py", "chosen", *arguments)
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("content", "told"), [(None, "found none. First: python"), ("x", "cannot be read")])
def test_a_table_that_is_not_there_or_damaged_is_one_line(content: str | None, told: str, tmp_path: Path) -> None:
    for path in TABLE.glob("*.py"):
        shutil.copy(path, tmp_path)
    if content is not None:
        (tmp_path / "toy.parquet").write_text(content)
    done = run(tmp_path / "rungs.py", "--preset", "toy")
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1
