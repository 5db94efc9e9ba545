"""Decoded pixels hold what was stored: disparities exactly, half-precision depth to 4 mm, normals of unit length."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from go4align.benchmarks.dense.batch import DISPARITY_UNIT, DenseBatch, StoredBatch
from go4align.benchmarks.rows import Rows
from go4align.metrics.normals import AngleErrors


def test_every_disparity_is_kept() -> None:
    disparities = np.arange(DISPARITY_UNIT + 1, dtype=np.uint16).reshape(1, 256, 256)
    depth = decoded(depth=disparities, normal=np.zeros((1, 256, 256, 3), np.float16)).depth
    expected = torch.arange(DISPARITY_UNIT + 1).view(1, 1, 256, 256) / DISPARITY_UNIT
    torch.testing.assert_close(depth, expected.float(), rtol=0, atol=1e-7)


def test_half_precision_keeps_depth_to_four_millimetres_and_directions_to_a_tenth_of_a_degree() -> None:
    random = np.random.default_rng(0)
    metres = random.uniform(0.5, 10, (1, 32, 40)).astype(np.float32)
    normal = random.normal(size=(1, 32, 40, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[0, 0] = 0
    batch = decoded(depth=metres.astype(np.float16), normal=normal.astype(np.float16))
    assert float((batch.depth[0, 0] - torch.from_numpy(metres[0])).abs().max()) < 0.004
    assert batch.normals is not None
    length = batch.normals.norm(dim=1)[0]
    torch.testing.assert_close(length[1:], torch.ones(31, 40), rtol=0, atol=1e-6)
    assert not length[0].any()
    errors = AngleErrors()
    errors.update(torch.from_numpy(normal).permute(0, 3, 1, 2).float(), batch.normals)
    assert errors.compute()["mean_deg"] < 0.1
    itself = AngleErrors()
    itself.update(batch.normals, batch.normals)
    assert itself.compute()["mean_deg"] < 1e-3


def decoded(**pixels: NDArray[Any]) -> DenseBatch:
    shape = pixels["depth"].shape
    others = {"image": np.zeros((*shape, 3), np.uint8), "label": np.zeros(shape, np.int8)}
    return StoredBatch.of(Rows({**others, **pixels})[np.arange(len(pixels["depth"]))], complete=True).to(
        torch.device("cpu")
    )
