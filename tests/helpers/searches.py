"""Proposals of a small study, and trials that end at once."""

from pathlib import Path
from typing import Any

from records import GOOD

from study.search.source import OptunaSearch
from study.spec.configuration import Reference
from study.spec.search_space import load_space
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult

REFERENCE = Reference(source="measured", val={"task0/mae": 1.0}, test={"task0/mae": 1.0})


def proposals(folder: Path, **sections: Any) -> OptunaSearch:
    study = StudyFile.model_validate({**GOOD, "budget": {"trials": 5}, **sections})
    return OptunaSearch(study, load_space(study, study.build_benchmark()), REFERENCE, folder / "optuna.journal")


def finish(source: OptunaSearch, trial: Trial, score: float = 1.0) -> None:
    source.report(trial, 1, score)
    source.finish(trial, TrialResult(trial.id, "finished", score, epochs=1, seconds=1.0))


def drain(source: OptunaSearch) -> list[Trial]:
    trials = []
    while (trial := source.next()) is not None:
        finish(source, trial, score=float(len(trials)))
        trials.append(trial)
    return trials
