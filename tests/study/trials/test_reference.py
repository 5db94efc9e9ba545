"""The single-task reference: trained once per budget, found again, and never guessed."""

from collections.abc import Callable, Sequence

import pytest
from records import GOOD

from go4align import UserError
from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.registry import benchmark_options
from go4align.benchmarks.toy import Toy
from study.spec.configuration import Reference
from study.spec.study_file import Budgeted, StudyFile
from study.trials.records import Trial, TrialResult
from study.trials.reference import measured_reference, published_reference, reference_key, reference_keys
from study.trials.scores import Metrics

STUDY = StudyFile.model_validate(GOOD)


def answer(trial: Trial, value: float) -> TrialResult:
    tasks = range(6)
    metrics = {f"{split}/task{m}/mae": value + m for split in ("val", "test") for m in tasks}
    return TrialResult(trial.id, "finished", 1.0, metrics)


class Lab:
    """A store that is empty at first, and a cluster that answers what `value` says of a trial."""

    def __init__(self, value: Callable[[Trial], float] = lambda _: 1.0) -> None:
        self.value = value
        self.store: dict[str, Metrics] = {}
        self.trained: list[Trial] = []

    def find(self, keys: Sequence[str]) -> dict[str, Metrics]:
        return {key: self.store[key] for key in keys if key in self.store}

    def run(self, trials: Sequence[Trial]) -> list[TrialResult]:
        results = [answer(trial, self.value(trial)) for trial in trials]
        for trial, result in zip(trials, results, strict=True):
            self.store[reference_key(trial.configuration, trial.seed)] = dict(result.metrics)
        self.trained += trials
        return results

    def measure(self, study: StudyFile = STUDY, stage: Budgeted = "search") -> Reference:
        return measured_reference(study, Toy(), self.find, self.run, stage)


def study_with(**changes: object) -> StudyFile:
    return StudyFile.model_validate({**GOOD, **changes})


def test_one_run_per_task_with_the_studys_own_budget() -> None:
    lab = Lab()
    lab.measure()
    assert [trial.configuration.method.options["task"] for trial in lab.trained] == list(range(6))
    assert {trial.configuration.training for trial in lab.trained} == {STUDY.training}
    assert {trial.seed for trial in lab.trained} == {STUDY.seeds.reference}
    assert len({trial.id for trial in lab.trained}) == 6


def test_known_runs_are_not_trained_again() -> None:
    lab = Lab()
    first = lab.measure()
    assert lab.measure() == first
    assert len(lab.trained) == 6
    assert first.val == {f"task{m}/mae": 1.0 + m for m in range(6)}
    assert first.described == "measured: the study's lr, 1 seed"
    assert set(reference_keys(STUDY, Toy())) == set(lab.store)


@pytest.mark.parametrize(
    "change",
    [{"training": {**GOOD["training"], "epochs": 3}}, {"benchmark": {"name": "toy", "train_size": 99}},
     {"seeds": {"search": 0, "reference": 9, "final": [101]}}],
)  # fmt: skip
def test_another_budget_data_or_seed_is_another_reference(change: dict[str, object]) -> None:
    assert not {*reference_keys(STUDY, Toy())} & {*reference_keys(study_with(**change), Toy())}


def test_each_task_takes_the_learning_rate_that_is_best_for_it_on_validation() -> None:
    lrs = [1e-3, 1e-2, 1e-1]
    best = {0: 1e-2, 1: 1e-1}  # of the others the first

    def value(trial: Trial) -> float:
        task = trial.configuration.method.options["task"]
        return 1.0 if trial.configuration.training.lr == best.get(task, lrs[0]) else 2.0

    lab = Lab(value)
    reference = lab.measure(study_with(reference={"lrs": lrs}))
    assert len(lab.trained) == 6 * 3
    assert [reference.lrs[f"task{m}"] for m in range(6)] == [1e-2, 1e-1, *[1e-3] * 4]
    assert reference.test == {f"task{m}/mae": 1.0 + m for m in range(6)}
    assert reference.described == "measured: lr the best of 3, 1 seed"


def test_final_runs_have_a_reference_of_their_own_budget_and_all_seeds_at_the_lr_that_the_search_found() -> None:
    study = study_with(
        reference={"lrs": [1e-3, 1e-2]},
        seeds={"search": 0, "reference": [1, 2, 3], "final": [101]},
        final={"benchmark": {"train_size": 600}, "training": {"epochs": 5}},
    )
    assert study.final_reference_differs
    lab = Lab(lambda trial: trial.seed + (trial.configuration.training.lr == 1e-3))
    search = lab.measure(study)
    assert {trial.seed for trial in lab.trained} == {1} and len(lab.trained) == 6 * 2
    final = lab.measure(study, "final")
    assert len(lab.trained) == 6 * 2 + 6 * 3
    fresh = [trial.configuration for trial in lab.trained[12:]]
    assert {c.training.epochs for c in fresh} == {5}
    assert {c.training.lr for c in fresh} == {1e-2}
    assert {c.benchmark.options["train_size"] for c in fresh} == {600}
    assert search.runs == [] and len(final.runs) == 3
    assert final.test["task0/mae"] == pytest.approx(2.0)  # of seeds 1, 2 and 3
    assert final.described == "measured: lr the best of 2, mean of 3 seeds"
    assert {*lab.store} <= {*reference_keys(study, Toy())}


def test_without_a_budget_of_their_own_final_runs_share_the_searchs() -> None:
    assert not STUDY.final_reference_differs
    lab = Lab()
    assert lab.measure(stage="final").test == lab.measure().test
    assert len(lab.trained) == 6


def test_another_methods_runs_may_be_the_reference() -> None:
    study = study_with(reference={"method": "ls"})
    lab = Lab()
    reference = lab.measure(study)
    [trial] = lab.trained
    assert (trial.method, trial.stage, trial.test) == ("ls", "reference", True)
    assert (reference.method, len(reference.test)) == ("ls", 6)


def test_a_failed_reference_stops_the_study_and_says_why() -> None:
    def run(trials: object) -> list[TrialResult]:
        return [TrialResult(trials[0].id, "failed", reason="epoch 1: loss is nan")]  # type: ignore[index]

    with pytest.raises(UserError, match="reference-task0.*loss is nan"):
        measured_reference(STUDY, Toy(), lambda keys: {}, run)


def test_a_reference_of_zero_is_told_once_before_anything_is_searched() -> None:
    with pytest.raises(UserError, match=r"must not be 0, found that of 'val/task0/mae' .and 1 more.: no change is rel"):
        Lab(lambda trial: 0.0).measure()


def test_published_numbers_are_the_papers() -> None:
    reference = published_reference(QM9())
    assert (reference.source, reference.val) == ("published", reference.test)
    assert reference.val["mu/mae"] == 0.0671
    assert reference.val["G/mae"] == 66.223
    assert len(reference.val) == 11


def test_options_written_out_at_their_defaults_are_the_same_reference() -> None:
    written = study_with(benchmark={"name": "toy", **benchmark_options("toy")})
    assert reference_keys(STUDY, Toy()) == reference_keys(written, Toy())
