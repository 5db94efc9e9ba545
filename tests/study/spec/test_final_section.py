"""`final:` and `reference:` of a study file: what they may say, and one line for what they may not."""

import re
from typing import Any

import pytest
from pydantic import ValidationError
from records import GOOD

from study.spec.complaints import explain
from study.spec.study_file import StudyFile


def study_with(**changes: Any) -> StudyFile:
    return StudyFile.model_validate({**GOOD, **changes})


def test_final_runs_take_the_tuned_hyperparameters_and_their_own_data_and_epochs() -> None:
    study = study_with(final={"benchmark": {"train_size": 600}, "training": {"epochs": 9, "schedule": "constant"}})
    tuned = study.configuration("go4align", {"n_groups": 3, "lr": 0.05})
    final = study.budgeted(tuned, "final")
    assert final.method == tuned.method
    assert (final.training.lr, final.training.epochs, final.training.schedule) == (0.05, 9, "constant")
    assert final.training.batch_size == study.training.batch_size
    assert final.benchmark.options == {**tuned.benchmark.options, "train_size": 600}
    assert study.budgeted(tuned, "search") == tuned
    assert final.key != tuned.key
    assert study_with().budgeted(tuned, "final") == tuned


def test_a_file_without_it_is_written_as_before() -> None:
    assert "final" not in study_with().model_dump(mode="json")
    with_final = study_with(final={"training": {"epochs": 9}})
    assert StudyFile.model_validate_json(with_final.model_dump_json()) == with_final


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final": {"training": {"lr": 0.1}}}, "`final.training.lr` must not be given: final runs take the tuned one"),
        ({"final": {"training": {"epoch": 9}}}, "Unknown key of `training` 'epoch'. Did you mean 'epochs'"),
        ({"final": {"training": {"epochs": 0}}}, "`epochs` must be a whole number from 1 .*found 0"),
        (
            {"final": {"benchmark": {"train_sizes": 9}}},
            "Unknown option of the benchmark 'toy' 'train_sizes'. Did",
        ),
        ({"final": {"benchmark": {"name": "qm9"}}}, "`final.benchmark.name` must not be given"),
        ({"final": {"seeds": 3}}, "final.*seeds"),
        ({"final": {"training": {"selection": {"name": "mean_of_last", "epochs": 50}}}}, "must be at most `epochs`"),
        ({"reference": {"method": "lss"}}, "Unknown method of `reference` 'lss'. Did you mean 'ls'"),
        ({"reference": {"lrs": []}}, "reference"),
        ({"reference": {"lrs": [0]}}, "reference"),
        ({"reference": "measuring"}, "reference"),
        ({"seeds": {"search": 0, "reference": [1, 101], "final": [101]}}, "Seeds must differ"),
        ({"seeds": {"search": 0, "reference": [], "final": [101]}}, "reference"),
    ],
)
def test_what_cannot_be_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        study_with(**changes)
    told = explain(caught.value, StudyFile)
    assert "\n" not in told
    assert re.search(message, told), told


def test_a_value_that_only_the_benchmark_knows_to_be_wrong_is_told_when_it_is_built() -> None:
    study = study_with(final={"benchmark": {"train_size": 0}})
    with pytest.raises(ValueError, match="`final`: `train_size` must be a whole number"):
        study.build_benchmark()
