from pathlib import Path

import pytest

from go4align.errors import UserError
from go4align.home import data_home
from study import home


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


def test_home_is_made_where_the_variable_says(own_home: Path) -> None:
    assert home.home() == own_home
    assert home.study_folder("qm9") == own_home / "studies" / "qm9"
    assert (own_home / "studies" / "qm9").is_dir()


def test_default_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GO4ALIGN_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home.home() == tmp_path / ".go4align"


def test_home_that_cannot_be_made_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match=r"cannot be created: Not a directory. Set GO4ALIGN_HOME") as caught:
        home.home()
    assert "\n" not in str(caught.value)


def test_home_without_permission(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="cannot be written to. Set GO4ALIGN_HOME"):
        home.home()


def test_a_relative_home_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GO4ALIGN_HOME", "here")
    assert data_home() == tmp_path / "here" / "data"
    assert home.home() == tmp_path / "here"
