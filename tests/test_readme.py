"""README as written: its Python runs (a notebook's: tests/study/results), and its commands are known to the program."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from study.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(study [a-z][^`]*)`", README)))


def test_the_python_example_runs(tmp_path: Path) -> None:
    [code] = [text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "torch" in text]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "'go4align'" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command: str) -> None:
    name, *arguments = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    found = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
    assert found is not None, f"no such command: {name}"
    found.make_context(name, arguments)


def test_the_commands_were_found() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
