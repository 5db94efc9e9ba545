"""Ray Tune around trials: reused workers, per-method ASHA, failures and dead workers, each trial's end told once."""

import dataclasses
import os
import signal
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from records import GOOD
from trackers import MemoryTracker

from go4align import UserError
from go4align.errors import RunFailedError
from study.search.source import FixedTrials, OptunaSearch
from study.spec.configuration import Configuration, Reference
from study.spec.run_sections import Resources
from study.spec.search_sections import Scheduler
from study.spec.search_space import load_space
from study.spec.study_file import StudyFile
from study.tracking import Tracker
from study.trials.records import Trial, TrialResult
from study.trials.run import run_trial
from study.tuning import run_trials

pytestmark = pytest.mark.usefixtures("ray_cluster")
STUDY = StudyFile.model_validate(GOOD)
REFERENCE = {split: {f"task{m}/mae": 10.0 ** (4 * m / 5 - 2) for m in range(6)} for split in ("val", "test")}


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


def fixed(*configurations: Configuration) -> FixedTrials:
    return FixedTrials(
        Trial(f"final-{n}", "final", c, seed=0, reference=REFERENCE, test=True) for n, c in enumerate(configurations)
    )


def timeless(result: TrialResult) -> TrialResult:
    return dataclasses.replace(result, seconds=0.0, metrics={**result.metrics, "epoch_s": 0.0})


def test_a_trial_in_a_reused_worker_equals_one_alone(tracker: MemoryTracker, tmp_path: Path) -> None:
    methods = ["uw", "go4align", "rlw", "famo", "ls", "go4align"]
    configurations = [STUDY.configuration(method) for method in methods]
    results = run_trials(
        fixed(*configurations), resources=Resources(), trackers=[tracker], folder=tmp_path, stage="final"
    )
    assert sorted(result.trial for result in results) == sorted(tracker.results)
    for number, configuration in enumerate(configurations):
        alone = run_trial(Trial(f"final-{number}", "final", configuration, seed=0, reference=REFERENCE, test=True))
        assert timeless(tracker.results[alone.trial]) == timeless(alone)
        assert [record.epoch for record in tracker.records[alone.trial]] == [1, 2]


def test_a_worker_under_other_code_trains_only_where_that_is_accepted(
    tracker: MemoryTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.pool.source_digest", lambda: "0" * 12)  # here, and not in the worker
    run = partial(run_trials, resources=Resources(), trackers=[tracker], stage="final")
    with pytest.raises(RunFailedError, match=r"another version of this code, .* began with 000000000000\..*--accept"):
        run(fixed(STUDY.configuration("ls")), folder=tmp_path / "a")
    assert not tracker.results
    [accepted] = run(fixed(STUDY.configuration("ls")), folder=tmp_path / "b", any_code=True)
    assert accepted.status == "finished"


def test_a_search_fills_every_budget_and_ends_every_trial_once(tracker: MemoryTracker, tmp_path: Path) -> None:
    study = StudyFile.model_validate({**GOOD, "budget": {"trials": 4}, "training": {**GOOD["training"], "epochs": 4}})
    reference = Reference(source="measured", val=REFERENCE["val"], test=REFERENCE["test"])
    proposals = OptunaSearch(study, load_space(study, study.build_benchmark()), reference, tmp_path / "optuna.journal")
    scheduler = Scheduler(grace_epochs=1, reduction_factor=2)
    results = run_trials(
        proposals, resources=Resources(), trackers=[tracker], folder=tmp_path, stage="search", scheduler=scheduler
    )
    assert Counter(tracker.trials[result.trial].method for result in results) == {"ls": 4, "go4align": 4}
    assert {result.status for result in results} <= {"finished", "stopped"}
    stopped = [result for result in results if result.status == "stopped"]
    assert stopped, "halving at the first epoch stops some of eight trials"
    for result in stopped:
        assert result.epochs == len(tracker.records[result.trial]) < 4
        assert result.score == tracker.records[result.trial][-1].best
    for method in ("ls", "go4align"):  # its best trial is never stopped
        of_method = [r for r in results if tracker.trials[r.trial].method == method and r.score is not None]
        assert min(of_method, key=lambda r: r.score or 0.0).status == "finished"


class KillWorker(Tracker):
    """Kills the process of a trial from the driver when one of its first epochs is told."""

    def __init__(self) -> None:
        self.killed = ""

    def log(self, trial_id: str, record: object) -> None:
        if self.killed:
            return
        for process in psutil.Process().children(recursive=True):  # all workers: one may be another test's, dying
            with suppress(psutil.Error, ProcessLookupError):
                if " ".join(process.cmdline()).startswith("ray::ImplicitFunc"):
                    os.kill(process.pid, signal.SIGKILL)
                    self.killed = trial_id


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_goes_on_from_its_checkpoint(tracker: MemoryTracker, tmp_path: Path) -> None:
    long = StudyFile.model_validate({**GOOD, "training": {**GOOD["training"], "epochs": 300}})
    killer = KillWorker()
    results = run_trials(
        fixed(*[long.configuration("ls")] * 4),
        resources=Resources(),
        trackers=[tracker, killer],
        folder=tmp_path,
        stage="final",
    )
    assert killer.killed
    assert {result.status for result in results} == {"finished"}
    assert len(results) == len(tracker.results) == 4
    for records in tracker.records.values():
        assert [record.epoch for record in records] == list(range(1, 301))
    scores = {tracker.results[trial].score for trial in tracker.results}
    assert len(scores) == 1  # the same configuration and seed: killed or not makes no difference
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_failing_trial_is_told_with_its_reason(tracker: MemoryTracker, tmp_path: Path) -> None:
    wrong = STUDY.configuration("go4align", {"n_groups": 99})
    results = run_trials(
        fixed(wrong, STUDY.configuration("ls")),
        resources=Resources(), trackers=[tracker], folder=tmp_path, stage="final",
    )  # fmt: skip
    assert {result.trial: result.status for result in results} == {"final-0": "failed", "final-1": "finished"}
    assert "n_groups" in tracker.results["final-0"].reason


def test_resources_that_no_node_has_are_refused(tracker: MemoryTracker, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs 1 CPUs and 4 GPUs, but no node has them"):
        run_trials(
            fixed(STUDY.configuration("ls")),
            resources=Resources(gpus=4), trackers=[tracker], folder=tmp_path, stage="final",
        )  # fmt: skip


def test_an_autoscaler_is_asked_for_room_for_the_trials_that_are_left(
    tracker: MemoryTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what it is asked: the autoscaler itself starts machines in a cloud."""
    asked: list[list[dict[str, float]]] = []

    def note(*, bundles: list[dict[str, float]]) -> None:
        asked.append(bundles)

    monkeypatch.setattr("study.tuning.cluster.request_resources", note)
    monkeypatch.setattr("study.tuning.cluster._LOOK_EVERY_S", 0.0)
    trials = fixed(*[STUDY.configuration("ls")] * 5)
    run_trials(trials, resources=Resources(), trackers=[tracker], folder=tmp_path, stage="final")
    counts = [len(bundles) for bundles in asked]
    assert counts[0] == 5
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    assert {tuple(bundle.items()) for bundles in asked for bundle in bundles} == {(("CPU", 1.0), ("GPU", 0.0))}


def test_a_cluster_that_cannot_be_asked_for_room_trains_all_the_same(
    tracker: MemoryTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*, bundles: list[dict[str, float]]) -> None:
        raise RuntimeError("no autoscaler")

    monkeypatch.setattr("study.tuning.cluster.request_resources", refuse)
    monkeypatch.setattr("study.tuning.cluster._LOOK_EVERY_S", 0.0)
    trials = fixed(STUDY.configuration("ls"))
    [result] = run_trials(trials, resources=Resources(), trackers=[tracker], folder=tmp_path, stage="final")
    assert result.status == "finished"
