"""A search that ends because it has stopped paying says so, and goes on when it is told to."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from records import GOOD
from rich.console import Console

import study
from study import open_study

pytestmark = pytest.mark.slow


def test_it_says_which_rule_ended_it_and_goes_on_with_another(
    ray_cluster: None, go4align_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{go4align_home / 'target.db'}"
    file = tmp_path / "stops.yaml"

    def write(min_gain: float) -> None:
        budget: dict[str, Any] = {"trials": 6, "target": {"min_gain": min_gain, "over_trials": 2}}
        file.write_text(
            yaml.safe_dump(
                {**GOOD, "name": "stops", "methods": ["ls"], "budget": budget, "scheduler": {"name": "fifo"}}
            )
        )

    def searched() -> int:
        return len(open_study("stops", uri).trials.query("stage == 'search'"))

    write(1e6)
    study.run(str(file), tracking_uri=uri, console=Console(width=400))
    first = searched()
    assert 3 <= first < 6
    out = capsys.readouterr().out
    assert f"The search of ls has ended after {first} of 6 trials: 2 more complete ones are expected to bring" in out
    assert "less than `budget.target.min_gain` = 1e+06" in out and "--accept-changes" in out
    assert "By 2 more complete trials the best score (Δm %) is expected to fall by: ls" in out
    write(1e-9)
    study.resume("stops", accept_changes=True, tracking_uri=uri, console=Console(width=400))
    assert searched() > first
