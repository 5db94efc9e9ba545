"""New molecules, for a network that was trained on QM9."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from go4align.benchmarks.qm9.batches import ELEMENTS
from go4align.benchmarks.qm9.cache import Cache
from go4align.benchmarks.qm9.source import from_pyg
from go4align.benchmarks.qm9.targets import TARGET_NAMES
from go4align.errors import UserError

_PARTS = {"z": 0, "pos": 0, "edge_index": 1, "edge_attr": 0}
"""What is read of a molecule, and along which dimension molecules are joined."""


_LARGEST = 255
"""Atoms, and bonds, of a molecule; those of QM9 have up to 29."""


def cache_of(samples: Sequence[Any]) -> Cache:
    """Molecules in torch_geometric's form as the arrays that batches are made of; their targets are NaN.

    Raises:
        UserError: there is none, one lacks something, or has an element that no molecule of QM9 has.
    """
    if not samples:
        raise UserError("New molecules of qm9 must be at least one, found none.")
    for number, sample in enumerate(samples):
        if missing := [part for part in _PARTS if getattr(sample, part, None) is None]:
            raise UserError(f"A molecule of qm9 must have {', '.join(_PARTS)}; number {number} lacks {missing[0]}.")
        if strange := set(sample.z.tolist()) - set(ELEMENTS):
            raise UserError(f"QM9 has H, C, N, O and F only; molecule {number} has an atom of number {min(strange)}.")
        if max(len(sample.z), sample.edge_index.shape[1] // 2) > _LARGEST:
            raise UserError(f"A molecule of qm9 may have {_LARGEST} atoms and as many bonds; number {number} has more.")
    joined = {part: torch.cat([getattr(sample, part) for sample in samples], along) for part, along in _PARTS.items()}
    sizes = np.array([len(sample.z) for sample in samples])
    edges = np.array([sample.edge_index.shape[1] for sample in samples])
    nothing = np.full((len(samples), len(TARGET_NAMES)), np.nan, np.float32)
    index = np.arange(1, len(samples) + 1, dtype=np.int32)
    return Cache(index=index, y=nothing, **from_pyg(joined, sizes, edges, "of new molecules"))
