"""What a machine remembers of a run, and the store it goes on in."""

from pathlib import Path

import pytest

from go4align import UserError
from study.home import study_folder
from study.stages import Launch
from study.stages.plan import Plan, begin_plan, differences, newest_plan, store_of

STORE = "http://me:secret@10.0.0.9:5000"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def begun(store: str = STORE) -> Plan:
    launch = Launch(source="toy", tracking_uri=store)
    study, space, *_ = launch.load()
    (study_folder("toy") / "one").mkdir()
    return begin_plan("one", store, study.model_copy(update={"tracking_uri": store}), space, launch)


def test_a_plan_holds_no_password() -> None:
    begun()
    [path] = study_folder("toy").glob("*/plan.json")
    assert "secret" not in path.read_text()
    kept = newest_plan("toy", STORE)
    assert kept is not None and kept.study.name == "toy" and kept.store == "http://***@10.0.0.9:5000"


def test_what_is_saved_with_other_values_is_read_back() -> None:
    begun().saved_with(searched=True)
    kept = newest_plan("toy")
    assert kept is not None and kept.searched


def test_the_password_comes_from_who_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = begun()
    assert store_of(plan, STORE, None) == STORE
    assert store_of(plan, None, STORE) == STORE
    monkeypatch.setenv("MLFLOW_TRACKING_URI", STORE)
    assert store_of(plan, None, None) == STORE


def test_a_password_in_a_query_is_known_to_be_missing() -> None:
    store = "http://10.0.0.9:5000?password=secret"
    assert store_of(begun(store), None, store) == store


def test_a_store_without_password_is_known_by_the_plan_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://10.0.0.7:5000")
    plan = begun("http://10.0.0.9:5000")
    assert store_of(plan, None, "http://10.0.0.7:5000") == "http://10.0.0.9:5000"
    with pytest.raises(UserError, match="kept in http://10.0.0.9:5000, not in http://10.0.0.7:5000.*--tracking-uri"):
        store_of(plan, "http://10.0.0.7:5000", None)


def test_limits_and_the_store_may_differ_and_all_else_is_told() -> None:
    plan = begun()
    study, space, *_ = Launch(source="toy", max_trials=1, max_hours=1).load()
    assert differences(plan, study, space) == []
    other, space, *_ = Launch(source="toy", methods="ls").load()
    assert differences(plan, other, space) == ['`methods`: ["ls", "famo", "go4align"] -> ["ls"]']
