"""What every registered method and indicator keeps: the public checks; a new one is tested without a change here."""

from functools import partial
from typing import Any

import psutil
import pytest
import torch

from go4align import Weighting, available_methods, build_weighting, hyperparameters
from go4align.testing import INDICATOR_CHECKS, WEIGHTING_CHECKS
from go4align.testing.networks import losses_of, optimizer_of
from go4align.weighting import available_indicators
from go4align.weighting.registry import build_indicator

METHODS = (*available_methods(), "risk_guided")
each_method = pytest.mark.parametrize("name", METHODS)
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "go4align": [
        *({"indicator": indicator} for indicator in ("mgda", "nash_mtl", "pcgrad")),
        {"clustering": "gradient_affinity"},
    ],
    "nash_mtl": [{"update_every": 2}],
}
WAYS = [(name, {"gramian": "layerwise"}) for name in available_methods() if "gramian" in hyperparameters(name)]
WAYS += [(name, options) for name, several in VARIANTS.items() for options in several]
CLUSTERINGS: dict[str, dict[str, Any]] = {
    "kmeans_pytorch": {"n_groups": 4},
    "spectral": {"n_groups": 3},
    "gradient_affinity": {},
    "given": {"clustering_options": {"labels": [0, 1, 0, 2, 1, 2], "weights": [1.0, 2.0, 3.0]}},
    "none": {},
}


def build(name: str, n_tasks: int, **options: Any) -> Weighting:
    return (build_weighting if name in available_methods() else build_indicator)(name, n_tasks, **options)


@each_method
@pytest.mark.parametrize("check", WEIGHTING_CHECKS)
def test_every_method_keeps_the_contract(name: str, check: str) -> None:
    WEIGHTING_CHECKS[check](partial(build, name))


@pytest.mark.parametrize("name", available_indicators())
@pytest.mark.parametrize("check", INDICATOR_CHECKS)
def test_every_indicator_can_be_grouped(name: str, check: str) -> None:
    INDICATOR_CHECKS[check](partial(build_indicator, name))


@pytest.mark.parametrize(("name", "options"), WAYS, ids=str)
def test_what_other_ways_write_is_finite_or_an_error_names_the_task(name: str, options: dict[str, Any]) -> None:
    WEIGHTING_CHECKS["what_is_written_is_finite"](partial(build, name, **options))


@pytest.mark.parametrize("check", WEIGHTING_CHECKS)
def test_groups_by_gradients_keep_the_contract(check: str) -> None:
    WEIGHTING_CHECKS[check](partial(build, "go4align", clustering="gradient_affinity"))


@pytest.mark.parametrize("clustering", CLUSTERINGS)
@pytest.mark.parametrize("check", ["absent_tasks_are_left_alone", "without_labels_nothing_happens"])
def test_every_clustering_groups_the_labelled_tasks_alone(clustering: str, check: str) -> None:
    WEIGHTING_CHECKS[check](partial(build, "go4align", clustering=clustering, **CLUSTERINGS[clustering]))


@pytest.mark.cpu_only("counts the memory of the host")
@pytest.mark.slow
@each_method
def test_memory_does_not_grow_over_ten_thousand_steps(name: str) -> None:
    weighting = build(name, n_tasks=2)
    optimizer = optimizer_of(weighting)
    process = psutil.Process()

    def train(steps: int) -> int:
        for losses in losses_of(2, 4) * (steps // 4):
            shared = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
            weighting.backward(losses * shared, shared_parameters=[shared])
            if optimizer is not None:
                optimizer.step()
            if weighting.needs_losses_after:
                weighting.after_step(losses)
        weighting.end_epoch()
        return process.memory_info().rss

    before = train(2_000)
    assert train(10_000) - before < 2**20
