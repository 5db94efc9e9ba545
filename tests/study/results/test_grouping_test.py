"""The test of grouping: which arms there are, that they differ in their groups alone, and what is said of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_study import write_study
from stored import store_in

from go4align.errors import UserError
from go4align.weighting.registry import build_weighting
from study.results import (
    ARMS,
    Known,
    StoredStudy,
    chosen_lrs,
    grouping_result,
    lr_trials,
    open_study,
    question,
    seed_trials,
)
from study.results.grouping_test import GROUPED, LR_FACTORS, Question
from study.spec.study_file import StudyFile

SEEDS = list(range(101, 111))
Make = Callable[..., StoredStudy]


@pytest.fixture(scope="module")
def make(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    def made(name: str, methods: Mapping[str, Any], n_tasks: int = 6) -> StoredStudy:
        home = tmp_path_factory.mktemp("grouping")
        uri = store_in(home, empty_store)
        space = home / "space.yaml"
        space.write_text("benchmark: toy\nmethods:\n  go4align: {}\n  ls: {}\n")
        values = {
            "name": name,
            "benchmark": {"name": "toy", "n_tasks": n_tasks},
            "training": {"epochs": 2, "batch_size": 32, "lr": 0.005},
            "variants": {key: {"name": "go4align", **options} for key, options in methods.items()},
            "methods": [*methods, "ls"],
            "search_space": str(space),
            "budget": {"trials": 1},
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GO4ALIGN_HOME", str(home))
            write_study(StudyFile.model_validate(values), uri, home, finals=0, stop_every=0)
        return open_study(name, uri)

    return made


@pytest.fixture(scope="module")
def stored(make: Make) -> StoredStudy:
    return make("thirds", {"apart": {"n_groups": 6}, "thirds": {"n_groups": 3, "beta": 1e-7}})


@pytest.fixture(scope="module")
def asked(stored: StoredStudy) -> Question:
    return question(stored)


def test_the_base_groups_and_its_groups_are_those_it_had(asked: Question) -> None:
    assert asked.base.method.key == "thirds"
    assert (asked.k, asked.labels) == (3, (0, 0, 1, 1, 2, 2))


def test_arms_differ_in_their_groups_alone(stored: StoredStudy, asked: Question) -> None:
    trials = seed_trials(stored, asked, dict.fromkeys(ARMS, 0.01), [101])
    assert [trial.method for trial in trials] == list(ARMS)
    assert len({trial.id for trial in trials}) == len(ARMS)
    different = {"n_groups", "clustering", "clustering_options", "seed"}
    kept = [{k: v for k, v in trial.configuration.method.settings.items() if k not in different} for trial in trials]
    assert all(settings == kept[0] for settings in kept)
    assert all(trial.configuration.training == trials[0].configuration.training for trial in trials)
    assert all(trial.test and set(trial.reference) == {"val", "test"} for trial in trials)


@pytest.mark.parametrize("seed", [101, 102])
def test_every_arm_has_weights_of_one_sum_and_the_groups_that_its_name_says(
    stored: StoredStudy, asked: Question, seed: int
) -> None:
    losses = torch.tensor([1.0, 1.01, 30.0, 31.0, 900.0, 910.0], dtype=torch.float64, requires_grad=True)
    groups = {}
    for trial in seed_trials(stored, asked, dict.fromkeys(ARMS, 0.01), [seed]):
        method = trial.configuration.method
        weighting = build_weighting(method.name, n_tasks=6, **method.options)
        record = weighting.backward(losses * 1.0, shared_parameters=[losses])
        assert float(record.weights.sum()) == pytest.approx(6.0)
        assert record.labels is not None
        groups[trial.method] = record.labels.tolist()
    assert groups[GROUPED] == [2, 2, 1, 1, 0, 0]
    assert len(set(groups["no-groups"])) == 6 and len(set(groups["one-group"])) == 1
    assert [len(set(groups["found-groups"][i : i + 2])) for i in (0, 2, 4)] == [1, 1, 1]
    assert sorted(np.bincount(groups["random-groups"])) == [2, 2, 2]


def test_random_groups_are_drawn_anew_with_every_seed(stored: StoredStudy, asked: Question) -> None:
    trials = seed_trials(stored, asked, {"random-groups": 0.01}, SEEDS)
    drawn = set()
    for trial in trials:
        method = trial.configuration.method
        drawn.add(tuple(build_weighting(method.name, n_tasks=6, **method.options).grouping.labels.tolist()))
    assert len(drawn) > len(SEEDS) / 2


def test_every_arm_searches_the_same_grid_and_keeps_its_best(stored: StoredStudy, asked: Question) -> None:
    grid = lr_trials(stored, asked)
    lrs = sorted({trial.configuration.training.lr for trial in grid})
    assert lrs == pytest.approx([factor * 0.005 for factor in LR_FACTORS])
    assert len(grid) == len(ARMS) * len(LR_FACTORS) and {trial.seed for trial in grid} == {0}
    assert not any(trial.test for trial in grid)
    scores = {trial.id: float(i % 3 == 2) - float(i % 3 == 0) for i, trial in enumerate(grid)}
    assert chosen_lrs(grid, scores) == dict.fromkeys(ARMS, pytest.approx(lrs[0]))
    assert chosen_lrs(grid[:3], {grid[0].id: float("nan"), grid[1].id: 5.0}) == {GROUPED: pytest.approx(lrs[1])}


def _known(stored: StoredStudy, asked: Question, level: Mapping[str, float], noise: float = 1.0) -> Known:
    """Trials whose Delta m is their arm's level and a noise that seeds share in part."""
    grid = lr_trials(stored, asked)
    scores = {trial.id: trial.configuration.training.lr for trial in grid}
    values = {}
    for trial in seed_trials(stored, asked, chosen_lrs(grid, scores), SEEDS):
        random = np.random.default_rng([trial.seed, list(ARMS).index(trial.method)])
        values[trial.id] = level[trial.method] + 10 * trial.seed + noise * random.standard_normal()
    return Known(scores, values, {0, *SEEDS})


def test_the_verdict_names_the_groups_that_are_decidedly_worse(stored: StoredStudy, asked: Question) -> None:
    level = dict.fromkeys(ARMS, 0.0) | {"one-group": 20.0, "random-groups": 9.0, "found-groups": -9.0}
    found = grouping_result(stored, SEEDS, _known(stored, asked, level))
    assert found is not None
    every_step = "The groups found at every step are"
    assert f"{every_step} better than one group for all and than random groups of their sizes." in found.verdict
    assert f"{every_step} worse than the same groups fixed." in found.verdict


@pytest.mark.parametrize(
    ("apart", "noise", "verdict"),
    [
        (5.0, 1.0, "Grouping helps here"),
        (-5.0, 1.0, "Grouping hurts here"),
        (0.3, 1.0, "Undecided: whether grouping is better"),
        (0.0, 0.0, "Grouping changes nothing here: identical"),
    ],
)
def test_the_verdict_is_of_paired_differences(
    stored: StoredStudy, asked: Question, apart: float, noise: float, verdict: str
) -> None:
    level = dict.fromkeys(ARMS, 0.0) | {"no-groups": apart}
    found = grouping_result(stored, SEEDS, _known(stored, asked, level, noise))
    assert found is not None
    assert found.verdict.startswith(verdict)
    assert [arm.arm for arm in found.arms] == list(ARMS) and found.arms[0].against is None
    for arm in found.arms[1:]:
        assert arm.p is not None and arm.against is not None and arm.p >= arm.against.p


def test_few_seeds_decide_nothing_and_nothing_known_is_nothing(stored: StoredStudy, asked: Question) -> None:
    known = _known(stored, asked, dict.fromkeys(ARMS, 0.0) | {"no-groups": 50.0})
    few = grouping_result(stored, SEEDS[:3], known)
    assert few is not None and few.verdict == "Undecided: too few seeds."
    assert grouping_result(stored) is None
    assert grouping_result(stored, SEEDS, known._replace(delta_m={})) is None


def test_what_cannot_be_tested_is_one_line(make: Make) -> None:
    with pytest.raises(UserError, match="has 2 tasks: grouping takes at least three"):
        question(make("pair", {"one": {"n_groups": 1}}, n_tasks=2))
    with pytest.raises(UserError, match="No complete search trial of the study 'ends' has 1 < K < 6"):
        question(make("ends", {"one": {"n_groups": 1}, "all": {"n_groups": 6}}))


def test_auto_counts_by_the_groups_that_it_chose(make: Make) -> None:
    assert question(make("auto", {"auto": {"n_groups": "auto"}})).k in {2, 3}
