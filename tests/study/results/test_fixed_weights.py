"""A method's mean weights as constants, beside it in the final table."""

from pathlib import Path

import pytest
from records import study_of
from stored import end, reference_result, reference_trial, small_study, small_trial, store_in, whole_result
from trackers import opened

from go4align.errors import UserError
from go4align.training import EpochRecord, Evaluation
from go4align.training.records import StepSummary
from go4align.weighting.registry import available_methods
from study.results import StoredStudy, open_study
from study.results.final_table import candidates


def stored(uri: str, *, epochs: bool) -> StoredStudy:
    study = small_study("alpha").model_copy(update={"fixed_weights": ["go4align"]})
    tracker = opened(uri, study)
    for task in range(2):
        end(tracker, reference_trial(task), reference_result(task))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", 4.0))
    tracker.start(small_trial("go4align-0"))
    for epoch, weights in enumerate([(1.0, 3.0), (5000.0, 5000.0)], start=1) if epochs else ():
        val = Evaluation((3.0, 4.0), {"task0/mae": 5.0, "task1/mae": 6.0})
        tracker.log("go4align-0", EpochRecord(epoch, 0.1, 0.2, StepSummary((1.0, 2.0), weights), val, 7.0, 7.0))
    tracker.finish("go4align-0", whole_result("go4align-0", 7.0))
    tracker.close("finished")
    return open_study("alpha", uri)


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    return store_in(tmp_path, empty_store)


def test_are_the_mean_shares_of_the_best_search_trial(uri: str) -> None:
    alpha = stored(uri, epochs=True)
    best = alpha.best()
    assert [one.method.key for one in best.configurations] == ["ls", "go4align", "go4align-fixed"]
    [_, adaptive, fixed] = best.configurations
    assert fixed.method.written_out == {
        "name": "static", "power": 0.0, "factors": {"task0": 0.375, "task1": 0.625}, "normalise": True,
    }  # fmt: skip
    assert (fixed.training, fixed.benchmark, fixed.trial) == (adaptive.training, adaptive.benchmark, "go4align-0")
    assert alpha.best("go4align-fixed").configurations == [fixed]
    of_fixed = [one.origin for one in candidates(alpha.study, best, {}) if one.method == "go4align-fixed"]
    assert of_fixed == ["tuned"]


def test_need_the_epochs_of_that_trial(uri: str) -> None:
    alpha = stored(uri, epochs=False)
    for path in Path(uri.removeprefix("sqlite:///")).parent.glob("artifacts/**/epochs.parquet"):
        path.unlink()
    with pytest.raises(UserError, match="found none of its best trial go4align-0"):
        alpha.best("go4align-fixed")
    with pytest.warns(UserWarning, match="found none of its best trial go4align-0"):
        assert [one.method.key for one in alpha.best().configurations] == ["ls", "go4align"]


def test_of_no_other_methods() -> None:
    assert study_of("a", methods=["ls", "go4align"], fixed_weights=["ls"]).fixed_weights == ["ls"]
    with pytest.raises(ValueError, match="Unknown method of `fixed_weights` 'uw'"):
        study_of("a", methods=["ls"], fixed_weights=["uw"])
    refused = [name for name in available_methods() if name != "stl" and _is_refused(name)]
    assert refused == ["mgda", "pcgrad", "cagrad", "imtl_g", "grad_drop", "nash_mtl"]


def _is_refused(method: str) -> bool:
    try:
        study_of("a", methods=[method], fixed_weights=[method])
    except ValueError as error:
        return "combines gradients" in str(error)
    return False
