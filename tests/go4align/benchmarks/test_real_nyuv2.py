"""A few steps on real images of NYUv2, where `GO4ALIGN_NYUV2` names a tree of them: from files to falling losses."""

import math
import os
from pathlib import Path

import pytest

from go4align.benchmarks.nyuv2.benchmark import NYUv2
from go4align.benchmarks.nyuv2.source import NYUv2Source
from go4align.training import Trainer, TrainingOptions
from go4align.weighting.registry import build_weighting

ROOT = os.environ.get("GO4ALIGN_NYUV2", "")
pytestmark = pytest.mark.skipif(not ROOT, reason="GO4ALIGN_NYUV2 names no folder of real NYUv2 images in .npy files")


def test_every_tasks_loss_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    source = NYUv2Source()
    assert source.inspect(Path(ROOT)).usable
    source.prepare(Path(ROOT), (), ())
    benchmark = NYUv2(val_size=2, size=[72, 96], augmented=False, network={"name": "mtan", "width": 0.125})
    options = TrainingOptions(epochs=12, batch_size=2, lr=1e-3, schedule="constant", selection="best")
    trainer = Trainer(
        benchmark,
        lambda: build_weighting("go4align", benchmark.n_tasks),
        options,
        seed=0,
        monitor=lambda found: math.fsum(found.losses),
        test=True,
    )
    records = list(trainer.epochs())
    first = records[0].train.losses
    last = records[-1].train.losses
    for task, before, after in zip(benchmark.task_names, first, last, strict=True):
        assert after < 0.95 * before, f"{task}: {before:.3f} to {after:.3f}"
    assert all(math.isfinite(value) for value in trainer.test().metrics.values())
