"""The single-task reference: trained once per budget, found again, and never guessed."""

from collections.abc import Sequence

import pytest
from records import GOOD

from go4align import UserError
from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.registry import benchmark_options
from go4align.benchmarks.toy import Toy
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult
from study.trials.reference import measured_reference, published_reference, reference_key, reference_trials
from study.trials.scores import Metrics

STUDY = StudyFile.model_validate(GOOD)


def answer(trial: Trial, value: float) -> TrialResult:
    tasks = range(6)
    metrics = {f"{split}/task{m}/mae": value + m for split in ("val", "test") for m in tasks}
    return TrialResult(trial.id, "finished", 1.0, metrics)


def test_one_run_per_task_with_the_studys_own_budget() -> None:
    trials = reference_trials(STUDY, Toy())
    assert [trial.configuration.method.options["task"] for trial in trials] == list(range(6))
    assert {trial.configuration.training for trial in trials} == {STUDY.training}
    assert {trial.seed for trial in trials} == {STUDY.seeds.reference}
    assert len({trial.id for trial in trials}) == 6


def test_known_runs_are_not_trained_again() -> None:
    store: dict[str, Metrics] = {}
    trained: list[str] = []

    def run(trials: object) -> list[TrialResult]:
        results = [answer(trial, 1.0) for trial in trials]  # type: ignore[attr-defined]
        trained.extend(result.trial for result in results)
        return results

    def find(keys: Sequence[str]) -> dict[str, Metrics]:
        return {key: store[key] for key in keys if key in store}

    first = measured_reference(STUDY, Toy(), find, run)
    for trial in reference_trials(STUDY, Toy()):
        store[reference_key(trial.configuration, trial.seed)] = dict(answer(trial, 1.0).metrics)
    second = measured_reference(STUDY, Toy(), find, run)
    assert len(trained) == 6
    assert first == second
    assert first.val == {f"task{m}/mae": 1.0 + m for m in range(6)}


@pytest.mark.parametrize(
    "change",
    [{"training": {**GOOD["training"], "epochs": 3}}, {"benchmark": {"name": "toy", "train_size": 99}},
     {"seeds": {"search": 0, "reference": 9, "final": [101]}}],
)  # fmt: skip
def test_another_budget_data_or_seed_is_another_reference(change: dict[str, object]) -> None:
    def keys(study: StudyFile) -> set[str]:
        return {reference_key(t.configuration, t.seed) for t in reference_trials(study, Toy())}

    assert not keys(STUDY) & keys(StudyFile.model_validate({**GOOD, **change}))


def test_a_failed_reference_stops_the_study_and_says_why() -> None:
    def run(trials: object) -> list[TrialResult]:
        return [TrialResult(trials[0].id, "failed", reason="epoch 1: loss is nan")]  # type: ignore[index]

    with pytest.raises(UserError, match="reference-task0.*loss is nan"):
        measured_reference(STUDY, Toy(), lambda keys: {}, run)


def test_published_numbers_are_the_papers() -> None:
    reference = published_reference(QM9())
    assert (reference.source, reference.val) == ("published", reference.test)
    assert reference.val["mu/mae"] == 0.0671
    assert reference.val["G/mae"] == 66.223
    assert len(reference.val) == 11


def test_options_written_out_at_their_defaults_are_the_same_reference() -> None:
    written = StudyFile.model_validate({**GOOD, "benchmark": {"name": "toy", **benchmark_options("toy")}})
    short, long = reference_trials(STUDY, Toy()), reference_trials(written, Toy())
    assert [trial.id for trial in short] == [trial.id for trial in long]
