"""Hard Jacobians, and the one-parameter network that has them."""

from typing import Any

import numpy
import torch
from devices import here

from go4align import StepRecord, Weighting

KINDS = ("plain", "conflict", "dependent", "aligned", "opposed")
ENTRIES = 60


def jacobian(kind: str, n_tasks: int, seed: int, *, scaled: bool = True) -> torch.Tensor:
    """[M, 60] float64; `scaled` spreads the rows' lengths over 1e-3 to 1e3."""
    random = numpy.random.default_rng(seed)
    rows = random.normal(size=(n_tasks, ENTRIES))
    if kind == "conflict":
        rows += random.choice([-2.0, 2.0], size=(n_tasks, 1)) * random.normal(size=ENTRIES)
    if kind == "dependent":
        rank = max(1, n_tasks // 3)
        rows = random.normal(size=(n_tasks, rank)) @ random.normal(size=(rank, ENTRIES))
    if kind == "aligned":
        rows = numpy.abs(rows[:, :1]) * random.normal(size=ENTRIES)
    if kind == "opposed":
        rows[-1] = -2.0 * rows[0]
    if scaled:
        rows *= 10.0 ** random.uniform(-3, 3, size=(n_tasks, 1))
    return here(torch.from_numpy(rows))


def take_step(weighting: Weighting, rows: torch.Tensor, **options: Any) -> tuple[StepRecord, torch.Tensor]:
    """One step on losses J theta + 1; returns the record and the gradient of theta."""
    theta = torch.nn.Parameter(torch.zeros(rows.shape[1], dtype=rows.dtype))
    record = weighting.backward(rows @ theta + 1, shared_parameters=[theta], **options)
    assert theta.grad is not None
    return record, theta.grad
