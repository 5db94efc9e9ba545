"""Commands that are shown to be typed next."""

from pathlib import Path

import pytest

from study.cli.console import in_store, mlflow_ui


def test_a_command_names_its_store_only_where_it_would_look_into_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://10.0.0.9:5000")
    assert in_store("study ls", None) == "study ls"
    assert in_store("study ls", "http://10.0.0.9:5000/") == "study ls"
    assert in_store("study ls", "http://10.0.0.8:5000") == "study ls --tracking-uri http://10.0.0.8:5000"


def test_a_file_is_named_so_that_every_folder_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert in_store("study ls", "sqlite:///my runs.db") == f"study ls --tracking-uri 'sqlite:///{tmp_path}/my runs.db'"


def test_passwords_are_not_shown() -> None:
    for shown in (in_store("study ls", "http://me:secret@10.0.0.9"), mlflow_ui("http://me:secret@10.0.0.9")):
        assert "10.0.0.9" in shown and "secret" not in shown


def test_a_store_that_cannot_be_used_here_is_shown_as_it_is() -> None:
    assert in_store("study best qm9", "nonsense://x") == "study best qm9 --tracking-uri nonsense://x"
