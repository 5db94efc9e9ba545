"""The pixels of one split: stored arrays, at their own size or a smaller one, by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from go4align.benchmarks.dense.augmentation import SCALES
from go4align.benchmarks.dense.batch import StoredBatch
from go4align.benchmarks.rows import Rows

Arrays = Mapping[str, NDArray[Any]]

_CHUNK = 64
"""Images that are looked at, or resized, together."""

_SURE = 1 - 1 / max(SCALES) ** 2 + 0.1
"""A larger share of valid pixels than the smallest crop can leave out, rows and columns rounded down."""


@dataclass(frozen=True)
class Pixels:
    """Samples of a split.

    Attributes:
        arrays: `image`, `label`, `depth` and perhaps `normal`, [N, H, W, ...], see `StoredBatch`.
        places: [S], which of the N samples the split has, ascending.
    """

    arrays: Arrays
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, chosen: NDArray[np.int64]) -> StoredBatch:
        """Some of the samples, by their numbers in the split."""
        return StoredBatch.of(
            self._rows[self.places[chosen]], complete=bool(self._surely_labelled[chosen].any(0).all())
        )

    def keep_on(self, device: torch.device) -> None:
        """Take them from a device from now on, if it has room; see `Rows`."""
        self._rows.keep_on(device)

    @cached_property
    def _rows(self) -> Rows:
        return Rows(self.arrays)

    @cached_property
    def _surely_labelled(self) -> NDArray[np.bool_]:
        """[S, T]: whether any crop of a sample has a valid pixel of each target."""
        chunks = [self.places[start : start + _CHUNK] for start in range(0, len(self), _CHUNK)]
        return np.concatenate([valid_shares(self.arrays, at) > _SURE for at in chunks])

    def resized(self, height: int, width: int) -> Pixels:
        """The same samples at another size, in memory: images by the mean over areas, all else by the nearest pixel."""
        chunks = [self.places[start : start + _CHUNK] for start in range(0, len(self), _CHUNK)]
        arrays = {
            name: np.concatenate([_resized(name, array[at], height, width) for at in chunks])
            for name, array in self.arrays.items()
        }
        return Pixels(arrays, np.arange(len(self)))


def valid_shares(arrays: Arrays, at: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n, T]: the share of each sample's pixels that have a label, a depth, and perhaps a normal."""
    valid = [arrays["label"][at] >= 0, arrays["depth"][at] != 0]
    if "normal" in arrays:
        valid.append((arrays["normal"][at] != 0).any(-1))
    return np.stack([pixels.mean((1, 2)) for pixels in valid], axis=1)


def _resized(name: str, pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if name != "image":
        rows = ((np.arange(height) + 0.5) * pixels.shape[1] / height).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * pixels.shape[2] / width).astype(np.int64)
        return np.ascontiguousarray(pixels[:, rows[:, None], columns])
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    found: NDArray[Any] = F.interpolate(whole, (height, width), mode="area").round().byte().permute(0, 2, 3, 1).numpy()
    return found
