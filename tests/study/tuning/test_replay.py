"""A replayed search proposes, stops and ends as a real one does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from records import GOOD

import study
from go4align.training import EpochRecord
from study import open_study
from study.search.source import OptunaSearch
from study.spec.configuration import Reference
from study.spec.search_sections import Scheduler
from study.spec.search_space import load_space
from study.spec.study_file import StudyFile
from study.trials.records import Trial
from study.trials.run import run_trial
from study.tuning.replay import asha, replay

ASKED: dict[str, Any] = {
    **GOOD,
    "name": "replayed",
    "benchmark": {"name": "toy", "train_size": 128},
    "training": {"epochs": 4, "batch_size": 64, "lr": 0.01},
    "methods": ["go4align"],
    "budget": {"trials": 7},
    "scheduler": {"name": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "resources": {"cpus": 1},  # all that the Ray of `ray_cluster` has
}


def trained(trial: Trial) -> Sequence[float]:
    """What a table would hold."""
    records: list[EpochRecord] = []
    run_trial(trial, records.append, device="cpu")
    return [record.monitored for record in records]


def searched(asked: StudyFile, reference: Reference, folder: Path) -> OptunaSearch:
    return OptunaSearch(asked, load_space(asked, asked.build_benchmark()), reference, folder / "optuna.journal")


@pytest.mark.slow
def test_it_is_the_real_search_where_trials_run_one_by_one(
    ray_cluster: None, go4align_home: Path, tmp_path: Path
) -> None:
    uri = f"sqlite:///{go4align_home / 'replay.db'}"
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(ASKED))
    study.run(str(file), tracking_uri=uri)
    real = open_study("replayed", uri)
    asked = StudyFile.model_validate(ASKED)
    ended = replay(searched(asked, real.reference(), tmp_path), trained, asha(asked.scheduler))
    rows = real.trials.query("stage == 'search'").set_index("trial")
    assert [one.trial.id for one in ended] == list(rows.index)
    for one in ended:
        assert real.configuration(one.trial.id).key == one.trial.configuration.key
        row = rows.loc[one.trial.id]
        assert (row["status"], row["epochs"]) == (one.status, one.epochs), one.trial.id
        assert row["score"] == one.score
    assert {"finished", "stopped"} == set(rows["status"])


def made_up(trial: Trial) -> Sequence[float]:
    """Better with a lower learning rate; one beyond 0.05 diverges after its first epoch."""
    lr = trial.configuration.training.lr
    return [lr] if lr > 0.05 else [lr + 3 - epoch for epoch in range(4)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_epoch_is_paid_for_and_everything_ends(at_once: int, tmp_path: Path) -> None:
    asked = StudyFile.model_validate(ASKED | {"budget": {"trials": 20}})
    nothing = Reference(source="measured", val={}, test={})
    ended = replay(searched(asked, nothing, tmp_path), made_up, asha(asked.scheduler), at_once=at_once)
    assert len({one.trial.id for one in ended}) == 20
    assert ended[-1].cost == sum(one.epochs for one in ended)
    assert {one.status for one in ended} == {"finished", "stopped", "failed"}
    for one in ended:
        assert (one.status == "failed") == (one.trial.configuration.training.lr > 0.05)
        assert one.epochs == 4 or one.status != "finished"


def test_without_a_scheduler_nothing_is_stopped(tmp_path: Path) -> None:
    asked = StudyFile.model_validate(ASKED)
    nothing = Reference(source="measured", val={}, test={})
    ended = replay(searched(asked, nothing, tmp_path), made_up, asha(Scheduler(name="fifo")))
    assert "stopped" not in {one.status for one in ended}
