from pathlib import Path

import pytest

from go4align.benchmarks.home import data_home
from go4align.errors import UserError
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


def test_tracking_uri_explicit_before_environment_before_default(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.tracking_uri() == f"sqlite:///{own_home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000/")
    assert home.tracking_uri() == "http://tracker:5000"
    assert home.tracking_uri("https://other") == "https://other"


def test_a_relative_sqlite_path_means_the_same_file_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home.tracking_uri("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "./mlflow.db", "http://", "ftp://host", "databricks"])
def test_a_store_that_cannot_keep_a_study_is_refused_with_the_remedy(uri: str) -> None:
    with pytest.raises(UserError, match="use a sqlite:/// path"):
        home.tracking_uri(uri)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_sqlite_in_memory_keeps_nothing(uri: str) -> None:
    with pytest.raises(UserError, match="names no file"):
        home.tracking_uri(uri)


def test_postgresql_needs_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.home.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'psycopg\[binary\]'"):
        home.tracking_uri("postgresql://me@host/runs")
    monkeypatch.setattr("study.home.find_spec", lambda _: object())
    assert home.tracking_uri("postgresql://me@host/runs") == "postgresql://me@host/runs"


def test_artifacts_never_depend_on_the_working_folder(own_home: Path) -> None:
    assert home.artifact_location("qm9", home.tracking_uri()) == f"file://{own_home}/artifacts/qm9"
    assert home.artifact_location("qm9", "http://tracker:5000") is None


def test_passwords_are_hidden() -> None:
    assert home.without_password("at postgresql://me:secret@host/db!") == "at postgresql://me:***@host/db!"
    assert home.without_password("http://host:5000") == "http://host:5000"


def test_a_relative_home_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GO4ALIGN_HOME", "here")
    assert data_home() == tmp_path / "here" / "data"
    assert home.home() == tmp_path / "here"


def test_an_unknown_user_s_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="home folder in the tracking URI 'sqlite:///~nouser/m.db' is unknown"):
        home.tracking_uri("sqlite:///~nouser/m.db")
    monkeypatch.setenv("GO4ALIGN_HOME", "~nouser/x")
    for call in (data_home, home.home, home.tracking_uri):
        with pytest.raises(UserError, match="home folder in '~nouser/x' is unknown. Set GO4ALIGN_HOME"):
            call()


@pytest.mark.parametrize("uri", ["sqlite:///a\0b", "sqlite:///a%00b", "sqlite:///\ud800", "http://host\n", "\x1b[2J"])
def test_a_uri_is_printable(uri: str) -> None:
    with pytest.raises(UserError, match="must hold printable characters only") as caught:
        home.tracking_uri(uri)
    assert str(caught.value).isprintable()


def test_a_scheme_may_be_written_large(tmp_path: Path) -> None:
    assert home.tracking_uri(f"SQLITE:///{tmp_path}/m.db") == f"sqlite:///{tmp_path}/m.db"


@pytest.mark.parametrize("uri", ["http://[::1", "http://host:99999", "http://host:port", "postgresql://[::1/runs"])
def test_a_malformed_uri_is_one_line(uri: str) -> None:
    with pytest.raises(UserError, match="is malformed: ") as caught:
        home.tracking_uri(uri)
    assert "\n" not in str(caught.value)
