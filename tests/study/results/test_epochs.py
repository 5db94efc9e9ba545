"""The epochs of a study, and files of them that are missing or half-written."""

import warnings
from pathlib import Path

import pytest
from stored import end, small_study, small_trial, store_in, whole_result
from trackers import opened

from go4align.training import EpochRecord, Evaluation
from go4align.training.records import StepSummary
from study.results import open_study
from study.results.epochs import CO_ASSIGNMENT, EPOCHS


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two trials of two epochs with groups, and one that failed before its first."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    uri = store_in(tmp_path, empty_store)
    tracker = opened(uri, small_study("alpha"))
    for trial in ("go4align-0", "go4align-1"):
        tracker.start(small_trial(trial))
        for epoch in (1, 2):
            train = StepSummary((1.0, 2.0), (0.5, 1.5), (0, 1), (0.1, 0.9), ((1.0, 0.25), (0.25, 1.0)))
            val = Evaluation((3.0, 4.0), {"task0/mae": 5.0, "task1/mae": 6.0})
            tracker.log(trial, EpochRecord(epoch, 0.1, 0.2, train, val, 7.0, 7.0))
        tracker.finish(trial, whole_result(trial, 7.0))
    end(tracker, small_trial("ls-0"), whole_result("ls-0", None, status="failed"))
    tracker.close("finished")
    return uri


def file_of(uri: str, trial: str) -> Path:
    run_id = open_study("alpha", uri).trials.set_index("trial")["run_id"][trial]
    [path] = Path(uri.removeprefix("sqlite:///")).parent.glob(f"artifacts/**/{run_id}/**/epochs.parquet")
    return path


def test_long_rows_of_all_trials(uri: str) -> None:
    stored = open_study("alpha", uri)
    assert stored.epochs.dtypes.astype(str).to_dict() == EPOCHS
    assert stored.co_assignment.dtypes.astype(str).to_dict() == CO_ASSIGNMENT
    of = stored.epochs.query("trial == 'go4align-1' and epoch == 2 and task == 'task1'").set_index("quantity")["value"]
    assert of.to_dict() == {
        "train/loss": 2.0, "train/weight": 1.5, "train/group": 1.0, "train/group_centre": 0.9, "val/loss": 4.0,
        "val/mae": 6.0,
    }  # fmt: skip
    share = stored.co_assignment.query("trial == 'go4align-0' and epoch == 1 and task == 'task0' and other == 'task1'")
    assert list(share["share"]) == [0.25]
    assert len(stored.co_assignment) == 2 * 2 * 2 * 2


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_what_cannot_be_read_is_left_out_with_a_warning(uri: str, spoil: object) -> None:
    assert callable(spoil)
    spoil(file_of(uri, "go4align-0"))
    stored = open_study("alpha", uri)
    with pytest.warns(UserWarning, match=r"epochs of 1 of 3 trials cannot be read and are left out: go4align-0 \("):
        assert set(stored.epochs["trial"]) == {"go4align-1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(stored.co_assignment["trial"]) == {"go4align-1"}, "read with them, and not complained of twice"
