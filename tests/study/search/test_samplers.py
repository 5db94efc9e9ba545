"""What proposes trials: every sampler is reproducible, keeps to the space, and a plan is followed."""

import math
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from records import GOOD
from searches import drain, finish, proposals

from go4align.errors import UserError
from study.search.samplers import grid, spread
from study.spec.search_sections import Search
from study.spec.study_file import StudyFile

SPACE: dict[str, Any] = {
    "lr": FloatDistribution(1e-3, 1e-1, log=True),
    "k": IntDistribution(1, 4),
    "space": CategoricalDistribution(["linear", "log"]),
}


@pytest.mark.parametrize(
    "search", [{"sampler": name} for name in ("tpe", "gp", "cmaes", "random", "grid")] + [{"start": "random"}]
)
def test_a_search_is_reproducible_and_begins_with_the_defaults(search: dict[str, Any], tmp_path: Path) -> None:
    runs = []
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        runs.append(drain(proposals(tmp_path / part, search=search, methods=["go4align"], budget={"trials": 6})))
    assert runs[0] == runs[1]
    assert [trial.origin for trial in runs[0]] == ["default"] + ["proposed"] * 5
    assert len({trial.configuration.key for trial in runs[0]}) > 3


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 8), ("gp", 7), ("cmaes", 16), ("random", 4), ("grid", 4)])
def test_a_search_that_is_opened_anew_for_every_trial_is_the_same(sampler: str, trials: int, tmp_path: Path) -> None:
    """As after kills: what a sampler knows is in the trials."""
    sections: dict[str, Any] = {"search": {"sampler": sampler}, "methods": ["famo"], "budget": {"trials": trials}}
    found = []
    for part in ("whole", "cut"):
        (tmp_path / part).mkdir()
        source = proposals(tmp_path / part, **sections)
        every = []
        while (trial := source.next()) is not None:
            if part == "cut":
                source = proposals(tmp_path / part, **sections)
                assert source.next() == trial
            finish(source, trial, score=abs(math.log(trial.configuration.training.lr / 0.02)))
            every.append(trial)
        found.append(every)
    assert found[0] == found[1] and len(found[0]) == trials


def test_groups_are_one_where_every_trial_has_every_hyperparameter(tmp_path: Path) -> None:
    """docs/search.md says so."""
    found = []
    for part, group in (("a", True), ("b", False)):
        (tmp_path / part).mkdir()
        source = proposals(tmp_path / part, search={"group": group}, methods=["go4align"], budget={"trials": 9})
        found.append([trial.configuration for trial in drain(source)])
    assert found[0] == found[1]


def test_cma_es_moves_towards_good_trials(tmp_path: Path) -> None:
    source = proposals(tmp_path, search={"sampler": "cmaes"}, methods=["famo"], budget={"trials": 60})
    distances = []
    while (trial := source.next()) is not None:
        distances.append(abs(math.log(trial.configuration.training.lr / 0.08)))
        finish(source, trial, score=distances[-1])
    assert fmean(distances[-15:]) < 0.3 * fmean(distances[5:20])


def test_a_grid_is_every_combination_once() -> None:
    every = grid(SPACE, levels=3, seed=0)
    assert every != grid(SPACE, levels=3, seed=1)
    found = {(round(one["lr"], 9), one["k"], one["space"]) for one in every}
    assert len(every) == len(found) == 3 * 3 * 2
    assert found == set(product((0.001, 0.01, 0.1), (1, 3, 4), ("linear", "log")))
    assert {one["k"] for one in grid(SPACE, levels=9, seed=0)} == {1, 2, 3, 4}


def test_a_sobol_sequence_is_spread_evenly() -> None:
    points = [spread(SPACE, seed=5, number=number) for number in range(16)]
    assert points[3] == spread(SPACE, seed=5, number=3) != spread(SPACE, seed=6, number=3)
    assert all(
        SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for one in points for name, value in one.items()
    )
    assert sorted(one["k"] for one in points) == sorted([1, 2, 3, 4] * 4)
    assert sum(one["space"] == "log" for one in points) == 8
    assert sum(one["lr"] < 0.01 for one in points) == 8


def test_a_grid_that_nobody_would_train_is_refused() -> None:
    wide = {name: FloatDistribution(0, 1) for name in "abc"}
    with pytest.raises(UserError, match="A grid may have 100,000 combinations, found 1,000,000"):
        grid(wide, levels=100, seed=0)


@pytest.mark.parametrize(
    "search",
    [
        {"sampler": "gp", "group": True},
        {"sampler": "cmaes", "group": True},
        {"levels": 5},
        {"sampler": "grid", "startup": 4},
        {"sampler": "grid", "start": "random"},
    ],
)
def test_options_without_effect_are_refused(search: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no effect with the sampler"):
        Search.model_validate(search)


def test_an_unknown_sampler_is_one_line() -> None:
    with pytest.raises(ValueError, match="sampler"):
        Search.model_validate({"sampler": "tpee"})
    assert "search" not in StudyFile.model_validate(GOOD).model_dump(), "old hashes stay"
    assert StudyFile.model_validate(GOOD | {"search": {"sampler": "gp"}}).model_dump()["search"]["sampler"] == "gp"
