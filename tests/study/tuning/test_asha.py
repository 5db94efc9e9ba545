"""ASHA within methods; one that hears the reports of earlier sessions again decides as if it had never ended."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from records import GOOD

from study.spec.search_sections import Scheduler
from study.spec.study_file import StudyFile
from study.trials.history import History, Report
from study.trials.records import Trial
from study.tuning.asha import MethodwiseASHA

EPOCHS = 9
STUDY = StudyFile.model_validate({**GOOD, "training": {**GOOD["training"], "epochs": EPOCHS}})
TRIALS = [
    Trial(f"search-{method}-{n:03d}", "search", STUDY.configuration(method), 0)
    for method in ("ls", "famo")
    for n in range(5)
]
OPTIONS = Scheduler(grace_epochs=1, reduction_factor=3)


def decide(asha: MethodwiseASHA, trial: Trial, epoch: int, score: float) -> str:
    tuned: Any = SimpleNamespace(config={"trial": trial})
    return asha.on_trial_result(None, tuned, {"epoch": epoch, "score": score})


@st.composite
def sessions(draw: st.DrawFn) -> tuple[list[tuple[Trial, int, float]], int]:
    """Reports of trials that run at the same time, in some order, and where the driver is killed."""
    order = draw(st.permutations([trial for trial in TRIALS for _ in range(EPOCHS)]))
    epochs = dict.fromkeys((trial.id for trial in TRIALS), 0)
    reports = []
    for trial in order:
        epochs[trial.id] += 1
        reports.append((trial, epochs[trial.id], draw(st.floats(-1e3, 1e3))))
    return reports, draw(st.integers(0, len(reports)))


@given(sessions())
def test_an_asha_that_hears_the_history_decides_like_one_that_never_ended(
    drawn: tuple[list[tuple[Trial, int, float]], int],
) -> None:
    reports, kill = drawn
    whole, stopped = MethodwiseASHA(OPTIONS, History()), set[str]()
    heard: list[Report] = []
    decisions: list[tuple[str, int, str]] = []
    before: set[str] = set()
    for number, (trial, epoch, score) in enumerate(reports):
        if number == kill:
            before = set(stopped)
        if trial.id in stopped:
            continue
        decision = decide(whole, trial, epoch, score)
        if decision == "STOP":
            stopped.add(trial.id)
        if number < kill:
            heard.append(Report(trial.id, trial.method, epoch, score, 1.0))
        else:
            decisions.append((trial.id, epoch, decision))
    if kill == len(reports):
        before = set(stopped)
    configurations = {trial.id: trial.configuration.model_dump_json() for trial in TRIALS}
    resumed = MethodwiseASHA(OPTIONS, History(configurations=configurations, reports=heard))
    assert resumed.stopped == before
    gone = set(before)
    again = []
    for trial, epoch, score in reports[kill:]:
        if trial.id not in gone:
            decision = decide(resumed, trial, epoch, score)
            again.append((trial.id, epoch, decision))
            gone |= {trial.id} if decision == "STOP" else set()
    assert again == decisions


def test_a_method_is_never_stopped_for_another_and_nothing_in_its_last_epoch() -> None:
    asha = MethodwiseASHA(OPTIONS, History())
    for trial in TRIALS[:5]:
        assert decide(asha, trial, 1, 0.0) == "CONTINUE"
    assert decide(asha, TRIALS[5], 1, 1e6) == "CONTINUE"  # another method's first trial, however bad
    assert decide(asha, TRIALS[6], 1, 1e7) == "STOP"
    assert decide(asha, TRIALS[7], EPOCHS, 1e7) == "CONTINUE"


def test_an_epoch_that_is_told_twice_counts_once() -> None:
    asha = MethodwiseASHA(OPTIONS, History())
    decide(asha, TRIALS[0], 1, 1.0)
    assert decide(asha, TRIALS[1], 1, 2.0) == "STOP"
    assert decide(asha, TRIALS[1], 1, 2.0) == "CONTINUE"  # it is in the rung already
