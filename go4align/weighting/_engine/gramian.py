"""Sums of products of gradients, exact enough for solvers: float64, without a float64 copy of the gradients."""

import numpy
import torch
from torch import Tensor

from go4align.arrays import Matrix

COLUMNS = 1 << 12
"""Entries per task that are converted to float64 at a time."""


def add_products(gramian: Matrix, rows: Tensor) -> None:
    """Add rows @ rows^T to the Gramian [M, M].

    Products of float32 numbers are exact in float64, so the result is the Gramian of the given gradients and positive
    semidefinite to 1e-16, not 1e-7, of their lengths; solvers amplify the difference where gradients conflict.

    Args:
        gramian: changed in place.
        rows: [M, any number of dimensions] of any floating dtype, on any device.
    """
    rows = flat(rows)
    if rows.is_cpu:
        for block in rows.split(COLUMNS, dim=1):
            values = block.double().numpy()
            with numpy.errstate(over="ignore", invalid="ignore"):  # what is not finite is told with the task's name
                gramian += values @ values.T  # numpy computes one half of it and mirrors that
        return
    total = torch.zeros(gramian.shape, dtype=torch.float64, device=rows.device)
    for block in rows.split(COLUMNS * 64, dim=1):
        values_there = block.double()
        total.addmm_(values_there, values_there.T)
    gramian += numpy.asarray(total.tolist())


def flat(rows: Tensor) -> Tensor:
    """[M, n]: the rows flattened in the order of memory, which spares a copy of transposed gradients."""
    by_stride = sorted(range(1, rows.dim()), key=rows.stride, reverse=True)
    return rows.detach().permute(0, *by_stride).flatten(1)
