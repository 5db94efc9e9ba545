"""Samples of stored arrays as tensors: read on the host, or from a device that has room for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from go4align.transfer import moved

_SHARE = 0.25
"""Of a device's free memory, which data may take."""


class Rows:
    """Arrays [N, ...] by name, of which batches take some rows.

    Args:
        arrays: in memory or mapped from files. 16-bit unsigned ones become int16 of the same bits: torch computes with
            few unsigned types.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = {
            name: array.view(np.int16) if array.dtype == np.uint16 else array for name, array in arrays.items()
        }
        self._kept: dict[str, Tensor] = {}
        self._on: torch.device | None = None

    def keep_on(self, device: torch.device) -> bool:
        """Copy all rows to a device, once, if they take at most a quarter of its free memory; returns whether it has
        them."""
        if self._on == device:
            return True
        if sum(array.nbytes for array in self._arrays.values()) > _SHARE * _free(device):
            return False
        self._on = device
        self._kept = {name: torch.from_numpy(np.array(array)).to(device) for name, array in self._arrays.items()}
        return True

    def __getitem__(self, at: NDArray[np.int64]) -> dict[str, Tensor]:
        """These rows [B, ...], where they are kept."""
        if not self._kept:
            return {name: torch.from_numpy(array[at]) for name, array in self._arrays.items()}
        device = next(iter(self._kept.values())).device
        index = moved(torch.from_numpy(at), device)
        return {name: rows.index_select(0, index) for name, rows in self._kept.items()}


def _free(device: torch.device) -> float:
    """Bytes; of a device that does not tell, none."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float("inf") if device.type == "cpu" else 0.0
