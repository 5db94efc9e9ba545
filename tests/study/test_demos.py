"""The presets of generated scenes, made smaller: a whole study to its table, and what a few epochs learn."""

import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import study
from go4align.benchmarks.dense.batch import DenseBatch
from go4align.benchmarks.dense.benchmark import DenseBenchmark
from go4align.benchmarks.registry import build_benchmark
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
    constant = of_constants(benchmark)
    higher = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    gains = {key: (found[key] - constant[key]) * (1 if up else -1) for key, up in higher.items()}
    primary = ["segmentation/miou", "segmentation/pixel_acc", "depth/abs_err", "depth/rel_err"]
    for key in [*primary, *(["normal/mean_deg", "normal/median_deg"] if "normal" in benchmark.task_names else [])]:
        assert gains[key] > 0.1 * constant[key], key


def of_constants(benchmark: DenseBenchmark) -> dict[str, float]:
    """What the most frequent class, the median depth and the best single direction of the training split score on the
    test split."""
    train, test = (whole(benchmark, split) for split in ("train", "test"))
    common = int(torch.bincount(train.labels[train.labels >= 0]).argmax())
    classes = torch.zeros(len(test.images), benchmark.n_classes, *test.images.shape[2:])
    classes[:, common] = 1
    outputs = [classes, torch.full_like(test.depth, float(train.depth[train.depth > 0].median()))]
    if train.normals is not None and test.normals is not None:
        normals = train.normals.movedim(1, -1)[train.normals.norm(dim=1) > 0].numpy()
        guesses = np.stack([normals.mean(0) / np.linalg.norm(normals.mean(0)), *np.eye(3), *-np.eye(3)])
        angles = np.arccos(np.clip(normals @ guesses.T, -1, 1)).mean(0)
        best = torch.from_numpy(guesses[angles.argmin()]).float()
        outputs.append(best[None, :, None, None].expand_as(test.normals))
    accumulator = benchmark.accumulator()
    accumulator.update(outputs, test)
    return dict(accumulator.compute().metrics)


def whole(benchmark: DenseBenchmark, split: Any) -> DenseBatch:
    [batch] = benchmark.batches(split, benchmark.size(split))
    return batch.to(torch.device("cpu"))
