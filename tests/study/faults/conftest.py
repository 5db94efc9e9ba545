"""A sandbox for every drill, and one undisturbed study to compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from studies import Audit, Sandbox, audit

SEARCHED = 8
"""Search trials of the drill's study: two methods, four trials each."""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The records of the study with one trial at a time that nothing happens to."""
    sandbox = Sandbox(tmp_path_factory.mktemp("undisturbed"))
    assert sandbox.finish("run", str(sandbox.write())) == 0, sandbox.output
    found = audit(sandbox, SEARCHED)
    assert found.faults == []
    return found
