"""The presets of generated scenes, made smaller: a whole study to its table, and what a few epochs learn."""

import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from constant_guess import constant_scores

import study
from go4align.benchmarks.dense.benchmark import DenseBenchmark
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import RunFailedError
from go4align.training import Trainer, TrainingOptions
from go4align.weighting.registry import build_weighting

DEMOS = ("nyuv2-demo", "cityscapes-demo")


def preset(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((resources.files("study.presets") / f"{name}.yaml").read_text())
    return content


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_runs_to_its_table_which_says_that_the_data_are_generated(
    name: str, tmp_path: Path, ray_cluster: None, go4align_home: Path
) -> None:
    demo = preset(name)
    scenes = demo["benchmark"]["generated"] | {"train_size": 48, "val_size": 8, "test_size": 8, "width": 32}
    small = demo | {
        "name": f"small-{name}",
        "benchmark": demo["benchmark"] | {"generated": scenes},
        "training": demo["training"] | {"epochs": 3, "batch_size": 4},
        "methods": ["go4align"],
        "budget": {"trials": 1},
        "scheduler": {"name": "fifo"},
        "seeds": demo["seeds"] | {"final": [101]},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    study.run(str(path), tracking_uri=uri)
    table = study.final(small["name"], tracking_uri=uri)
    assert not table.failed
    assert {row.candidate.method for row in table.rows} == {"go4align"}
    assert "generated" in table.data_note
    assert list(table.families) == [task.name for task in build_benchmark(**demo["benchmark"]).tasks]


@pytest.mark.parametrize("name", DEMOS)
def test_every_task_learns_more_than_the_best_constant_guess(name: str) -> None:
    demo = preset(name)
    benchmark = build_benchmark(**demo["benchmark"])
    assert isinstance(benchmark, DenseBenchmark)
    options = TrainingOptions(**demo["training"] | {"epochs": 3})
    build: Callable[[], Any] = lambda: build_weighting("uw", benchmark.n_tasks)  # noqa: E731
    trainer = Trainer(benchmark, build, options, seed=101, monitor=lambda found: math.fsum(found.losses), test=True)
    list(trainer.epochs())
    found = trainer.test().metrics
    constant = constant_scores(benchmark)
    higher = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    gains = {key: (found[key] - constant[key]) * (1 if up else -1) for key, up in higher.items()}
    primary = ["segmentation/miou", "segmentation/pixel_acc", "depth/abs_err", "depth/rel_err"]
    for key in [*primary, *(["normal/mean_deg", "normal/median_deg"] if "normal" in benchmark.task_names else [])]:
        assert gains[key] > 0.1 * constant[key], key


def small_figures(**training: object) -> dict[str, Any]:
    demo = preset("celeba-demo")
    generated = {"train_size": 2400, "val_size": 60, "test_size": 400}
    return demo | {
        "name": "small-celeba-demo",
        "benchmark": demo["benchmark"] | {"generated": generated},
        "training": demo["training"] | training,
        "methods": ["ls"],
        "budget": {"trials": 1},
    }


def test_most_attributes_are_learned_better_than_the_best_constant_guess_in_a_fraction_of_the_demos_steps() -> None:
    small = small_figures(epochs=5)
    benchmark = build_benchmark(**small["benchmark"])
    options = TrainingOptions(**small["training"])
    build: Callable[[], Any] = lambda: build_weighting("ls", benchmark.n_tasks)  # noqa: E731
    trainer = Trainer(benchmark, build, options, seed=101, monitor=lambda found: math.fsum(found.losses), test=True)
    list(trainer.epochs())
    found = trainer.test().metrics
    guesses = constant_scores(benchmark)
    assert len(guesses) == 40
    better = [key for key, guess in guesses.items() if found[key] > guess]
    assert len(better) > 20, better


def test_a_demo_that_is_trained_too_little_for_its_reference_says_so_before_it_searches(
    tmp_path: Path, ray_cluster: None, go4align_home: Path
) -> None:
    """Within seconds no network finds a rare attribute, so F1 is 0: no change is relative to that."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_figures(epochs=1, batch_size=128) | {"scheduler": {"name": "fifo"}}))
    with pytest.raises(RunFailedError, match=r"must not be 0, found that of 'val/.*/f1'.*Train it longer"):
        study.run(str(path), tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
