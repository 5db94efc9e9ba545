from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from go4align.errors import UserError
from go4align.home import data_home
from study import home
from study.store import uri as uri_of
from study.store.client import connect


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


def test_tracking_uri_explicit_before_environment_before_default(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uri_of.tracking_uri() == f"sqlite:///{own_home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000/")
    assert uri_of.tracking_uri() == "http://tracker:5000"
    assert uri_of.tracking_uri("https://other") == "https://other"


def test_a_relative_sqlite_path_means_the_same_file_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uri_of.tracking_uri("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "./mlflow.db", "http://", "ftp://host", "databricks"])
def test_a_store_that_cannot_keep_a_study_is_refused_with_the_remedy(uri: str) -> None:
    with pytest.raises(UserError, match="use a sqlite:/// path"):
        uri_of.tracking_uri(uri)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_sqlite_in_memory_keeps_nothing(uri: str) -> None:
    with pytest.raises(UserError, match="names no file"):
        uri_of.tracking_uri(uri)


def test_postgresql_needs_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.store.uri.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'psycopg\[binary\]'"):
        uri_of.tracking_uri("postgresql://me@host/runs")
    monkeypatch.setattr("study.store.uri.find_spec", lambda _: object())
    assert uri_of.tracking_uri("postgresql://me@host/runs") == "postgresql://me@host/runs"


def test_artifacts_never_depend_on_the_working_folder(own_home: Path) -> None:
    assert uri_of.artifact_location("qm9", "sqlite:////elsewhere/mlflow.db") == f"file://{own_home}/artifacts/qm9"
    assert uri_of.artifact_location("qm9", "http://tracker:5000") is None


@pytest.mark.parametrize("folder", ["feature%2Fbranch", "a?b", "a#b", "a b", "é", "100%", "a%3Fb", "x;y&z=1"])
def test_any_path_is_a_uri_and_back(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / folder / "mlflow.db"
    assert uri_of.sqlite_path(uri_of.sqlite_uri(path)) == path
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / folder))
    uri = uri_of.tracking_uri()
    assert uri_of.sqlite_path(uri) == path
    assert uri_of.tracking_uri(uri) == uri
    connect(create=True)
    assert path.is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [folder]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_any_printable_path_is_a_uri_and_back(name: str) -> None:
    path = Path("/home") / name
    assert uri_of.sqlite_path(uri_of.sqlite_uri(path)) == path


SECRETS = [
    ("postgresql://me:secret@host/db", "postgresql://***@host/db"),
    ("http://me:to p@127.0.0.1:5432/ml", "http://***@127.0.0.1:5432/ml"),
    ("postgresql+psycopg2://me:s3c/ret?x@host/ml", "postgresql+psycopg2://***@host/ml"),
    ("postgresql://me:p@ss@host/db", "postgresql://***@host/db"),
    ("https://token@host:5000", "https://***@host:5000"),
    ("mysql+pymysql://:pw@host/db", "mysql+pymysql://***@host/db"),
    ("postgresql://me@host/db?sslmode=require&password=pw1", "postgresql://***@host/db?sslmode=require&password=***"),
]


@pytest.mark.parametrize(("uri", "shown"), SECRETS)
def test_what_a_uri_hides_is_never_shown(uri: str, shown: str) -> None:
    assert uri_of.without_password(uri) == shown
    assert uri_of.without_password(shown) == shown
    assert uri_of.hides_password(shown)
    assert not uri_of.hides_password(uri)
    quoted = f"tracking_uri: \"{uri}\"  # ours\nname: '{uri}'"
    assert uri_of.without_password(quoted) == f"tracking_uri: \"{shown}\"  # ours\nname: '{shown}'"


@pytest.mark.parametrize(("uri", "shown"), SECRETS)
def test_what_this_process_was_given_is_hidden_in_any_text(
    uri: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.store.uri.find_spec", lambda _: object())
    if "/" in uri.partition("://")[2].rpartition("@")[0]:
        with pytest.raises(UserError, match=r"://\*\*\*@host/ml' must be quoted: write / as %2F\.$"):
            uri_of.tracking_uri(uri)
    else:
        uri_of.tracking_uri(uri)
    assert uri_of.without_password(f"at {uri} refused") == f"at {shown} refused"


@pytest.mark.parametrize(
    "text", ["http://host:5000", "sqlite:////home/a@b/mlflow.db", "me@example.org", "a: b", "see http://x.org/y."]
)
def test_what_hides_nothing_stays(text: str) -> None:
    assert uri_of.without_password(text) == text
    assert not uri_of.hides_password(text)


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=6))
def test_no_part_of_any_password_is_shown(password: str) -> None:
    assume(not set("*@host") & set(password))
    text = uri_of.without_password(f"http://me:{password}@host/")
    assert text == "http://***@host/"


def test_an_unknown_user_s_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="home folder in the tracking URI 'sqlite:///~nouser/m.db' is unknown"):
        uri_of.tracking_uri("sqlite:///~nouser/m.db")
    monkeypatch.setenv("GO4ALIGN_HOME", "~nouser/x")
    for call in (data_home, home.home, uri_of.tracking_uri):
        with pytest.raises(UserError, match="home folder in '~nouser/x' is unknown. Set GO4ALIGN_HOME"):
            call()


@pytest.mark.parametrize("uri", ["sqlite:///a\0b", "sqlite:///a%00b", "sqlite:///\ud800", "http://host\n", "\x1b[2J"])
def test_a_uri_is_printable(uri: str) -> None:
    with pytest.raises(UserError, match="must hold printable characters only") as caught:
        uri_of.tracking_uri(uri)
    assert str(caught.value).isprintable()


def test_a_scheme_may_be_written_large(tmp_path: Path) -> None:
    assert uri_of.tracking_uri(f"SQLITE:///{tmp_path}/m.db") == f"sqlite:///{tmp_path}/m.db"


@pytest.mark.parametrize("uri", ["http://[::1", "http://host:99999", "http://host:port", "postgresql://[::1/runs"])
def test_a_malformed_uri_is_one_line(uri: str) -> None:
    with pytest.raises(UserError, match="is malformed: ") as caught:
        uri_of.tracking_uri(uri)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["me:secret@host", "//me:secret@h/x", "http:/me:secret@h", "x:a@secret@h"])
def test_what_is_no_uri_may_hold_a_password_all_the_same(uri: str) -> None:
    with pytest.raises(UserError, match="The tracking URI '.*' is not one of") as caught:
        uri_of.tracking_uri(uri)
    assert "secret" not in str(caught.value)


def test_what_lies_in_the_home_is_named_by_its_place_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "100% a"))
    uri = uri_of.tracking_uri()
    name = uri_of.store_name(uri)
    assert name == "go4align-home:/mlflow.db" and uri_of.uri_of(name) == uri
    assert uri_of.artifact_location("mine", uri) == "go4align-store:/artifacts/mine"
    assert uri_of.artifact_path("go4align-store:/artifacts/mine", uri) == tmp_path / "100% a" / "artifacts" / "mine"
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "b"))
    assert uri_of.uri_of(name) == f"sqlite:///{tmp_path}/b/mlflow.db"
    elsewhere = f"sqlite:///{tmp_path}/mlflow.db"
    assert uri_of.uri_of(uri_of.store_name(elsewhere)) == uri_of.store_name(elsewhere) == elsewhere
    assert uri_of.artifact_location("mine", elsewhere) == (tmp_path / "b" / "artifacts" / "mine").as_uri()
    assert uri_of.artifact_location("mine", "http://me:secret@host") is None
    assert uri_of.store_name("http://me:secret@host") == "http://***@host"
