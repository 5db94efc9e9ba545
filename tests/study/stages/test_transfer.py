"""Configurations tuned by one study, trained in another's benchmark and protocol."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from records import GOOD

import study
from go4align.errors import UserError
from study import open_study
from study.results import FinalTable
from study.stages import session

pytestmark = pytest.mark.slow
LOG = {"variants": {"log": {"name": "go4align", "space": "log"}}}
SMALL: dict[str, Any] = {
    **GOOD,
    "name": "small",
    "benchmark": {"name": "toy", "train_size": 64},
    **LOG,
    "methods": ["ls", "log"],
    "scheduler": {"name": "fifo"},
}
LARGE: dict[str, Any] = {
    **GOOD,
    "name": "large",
    "benchmark": {"name": "toy", "train_size": 256},
    "training": {"epochs": 3, "batch_size": 32, "lr": 0.003},
    "methods": ["ls"],
    "seeds": {"search": 0, "reference": 1, "final": [101, 102]},
}


def written(folder: Path, content: dict[str, Any]) -> str:
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(scope="module")
def uri(ray_cluster: None, go4align_home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{go4align_home / 'transfer.db'}"
    study.run(written(tmp_path_factory.mktemp("small"), SMALL), tracking_uri=uri)
    return uri


def test_tuned_small_it_is_trained_at_full_size(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    large = written(tmp_path, LARGE)
    tuned = study.best("small", tracking_uri=uri)
    table = study.final("small", under=large, lr_factor=0.5, tracking_uri=uri, console=Console(width=200))
    out = capsys.readouterr().out
    assert "hyperparameters as they are, learning rates times 0.5" in out
    assert "benchmark.train_size: 64 -> 256" in out and "training.epochs: 2 -> 3" in out
    assert "benchmark.width" not in out
    assert {row.candidate.method for row in table.rows} == {"ls", "log"}
    for row in table.rows:
        small = next(one for one in tuned.configurations if one.method.key == row.candidate.method)
        found = row.candidate.configuration
        assert found.method.options == small.method.options
        assert (found.training.lr, found.training.epochs) == (small.training.lr / 2, 3)
        assert found.benchmark.options == {"train_size": 256}
        assert row.seeds == 2
    assert table.budgets == (
        "tuned on small: train_size 64, epochs 2, batch_size 64; learning rates times 0.5; "
        "final runs: 3 epochs of large"
    )
    trained = len(open_study("large", uri).trials)
    again = study.final("small", under=large, lr_factor=0.5, tracking_uri=uri)
    assert again.rows == table.rows
    assert len(open_study("large", uri).trials) == trained, "nothing is trained twice"


def test_the_targets_own_methods_and_fixed_weights_are_replaced(uri: str, tmp_path: Path) -> None:
    own = written(tmp_path, LARGE | {"name": "own", "methods": ["famo", "log"], "fixed_weights": ["log"], **LOG})
    file = tmp_path / "best.yaml"
    study.write_best(study.best("small", method="ls", tracking_uri=uri), file)
    table = study.final(str(file), under=own, seeds=1, tracking_uri=uri)
    assert {row.candidate.method for row in table.rows} == {"ls"}
    assert [one.method.key for one in study.best("own", tracking_uri=uri).configurations] == ["ls"]
    with pytest.raises(UserError, match="Unknown method of the study 'own' 'famo'"):
        study.best("own", method="famo", tracking_uri=uri)


def test_it_is_reported_and_read_by_its_name_alone(uri: str, tmp_path: Path) -> None:
    named = written(tmp_path, LARGE | {"name": "named", "final": {"training": {"epochs": 2}}})
    table = study.final("small", under=named, seeds=1, lr_factor=2, tracking_uri=uri)
    trials = open_study("named", uri).trials
    assert study.final("named", seeds=1, tracking_uri=uri) == table
    assert len(open_study("named", uri).trials) == len(trials)
    once = len(open_study("named", uri).study.build_benchmark().task_names)
    assert trials.groupby("stage").size().to_dict() == {"reference": once, "final": 2}, "only what final runs need"
    assert study.best("named", tracking_uri=uri).tuned_with.startswith("small: train_size 64")
    page = study.write_report("named", tmp_path / "named.md", form="md", tracking_uri=uri).read_text()
    assert table.budgets.replace("_", r"\_") in page
    assert all(f"\n| {row.candidate.method} | tuned | {row.delta_m:.1f} |" in page for row in table.rows)
    assert "study best small --out best.yaml\nstudy final best.yaml --with named.yaml --lr-factor 2\n" in page


def test_seeds_and_tasks_are_looked_at_before_anything_is_trained(uri: str, tmp_path: Path) -> None:
    new = written(tmp_path, LARGE | {"name": "new"})
    with pytest.raises(UserError, match="`--seeds` must be a whole number from 1 to 1000, found 0"):
        study.final("small", under=new, seeds=0, tracking_uri=uri)
    with pytest.raises(UserError, match="'new'"):
        open_study("new", uri)


def test_what_a_kill_has_left_is_gone_on_with(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = written(tmp_path, LARGE | {"name": "killed", "training": {**LARGE["training"], "epochs": 4}})
    run_trials = session.run_trials

    def killed_in(wanted: str, *args: Any, **options: Any) -> Any:
        if options["stage"] == wanted:
            raise KeyboardInterrupt
        return run_trials(*args, **options)

    for stage in ("reference", "final"):
        monkeypatch.setattr(session, "run_trials", partial(killed_in, stage))
        with pytest.raises(KeyboardInterrupt):
            study.final("small", under=killed, seeds=2, tracking_uri=uri)
        monkeypatch.setattr(session, "run_trials", run_trials)
        if stage == "reference":
            again = f"Repeat `study final small --with {killed} --seeds 2 --tracking-uri {uri}`"
            with pytest.raises(UserError, match=f"no search to go on with. {re.escape(again)}"):
                study.resume("killed", tracking_uri=uri)
    table = study.resume("killed", max_trials=3, tracking_uri=uri)  # limits of a search, which it has none of
    assert isinstance(table, FinalTable)
    assert study.final("small", under=killed, tracking_uri=uri).rows == table.rows
    assert {row.seeds for row in table.rows} == {2}
    trials = open_study("killed", uri).trials
    assert not trials["trial"].duplicated().any() and set(trials["status"]) == {"finished"}
    assert set(trials["stage"]) == {"reference", "final"}


def test_what_cannot_be_is_one_line(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs another study than 'small'"):
        study.final("small", under=written(tmp_path, SMALL), tracking_uri=uri)
    with pytest.raises(UserError, match="`--lr-factor` is for another study's training"):
        study.final("small", lr_factor=2.0, tracking_uri=uri)
    with pytest.raises(UserError, match=r"`--lr-factor` must be a finite number greater than 1e-06 and at most 1e\+06"):
        study.final("small", under="toy", lr_factor=0, tracking_uri=uri)
    with pytest.raises(UserError, match="preset"):
        study.final("small", under="nowhere", tracking_uri=uri)
    study.write_best(study.best("small", tracking_uri=uri), tmp_path / "best.yaml")
    with pytest.raises(UserError, match="best.yaml is a file of `study best`, a study file was required"):
        study.final("small", under=str(tmp_path / "best.yaml"), tracking_uri=uri)
    other = LARGE | {"benchmark": {"name": "toy", "train_size": 300}}
    with pytest.raises(UserError, match="has another study 'large'"):
        study.final("small", under=written(tmp_path, other), tracking_uri=uri)
