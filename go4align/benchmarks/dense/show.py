"""Modalities as RGB pictures: what a person looks at to see whether data are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.inspection import as_bytes
from go4align.benchmarks.pictures import swatches

# Okabe and Ito's eight colours, which colour-blind people tell apart, and lighter and darker ones of them.
_COLOURS = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (150, 150, 150),
        (255, 215, 140),
        (180, 225, 250),
        (140, 220, 195),
        (120, 60, 0),
        (235, 190, 215),
    ],
    np.uint8,
)
_DEPTHS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64)
"""Five points of matplotlib's viridis, dark for what is near or small."""


def sample(arrays: Mapping[str, NDArray[Any]], classes: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """The modalities of one sample by caption, and a legend of its classes."""
    found = {"image": arrays["image"]}
    label = arrays["label"]
    found["label (black: void)"] = labels(label)
    depth = arrays["depth"].astype(np.float64)
    valid = depth[depth > 0]
    span = f"{valid.min():.4g} to {valid.max():.4g}" if valid.size else "nowhere"
    unit = "m" if arrays["depth"].dtype.kind == "f" else "as stored"
    found[f"depth {span} {unit} (black: none)"] = depths(depth)
    if "normal" in arrays:
        found["normal (black: none)"] = normals(arrays["normal"])
    there = [number for number in range(len(classes)) if (label == number).any()]
    found["classes"] = swatches([(classes[number], _COLOURS[number]) for number in there], len(label))
    return found


def labels(label: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, 3], a colour for each class, black where there is none."""
    found: NDArray[np.uint8] = np.where((label >= 0)[..., None], _COLOURS[label % len(_COLOURS)], 0).astype(np.uint8)
    return found


def depths(depth: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[H, W, 3], from dark for the smallest to bright for the largest, black where there is none."""
    valid = depth > 0
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = depth[valid].min(), depth[valid].max()
    place = np.clip((depth - low) / max(high - low, 1e-12), 0, 1) * (len(_DEPTHS) - 1)
    channels = [np.interp(place, np.arange(len(_DEPTHS)), _DEPTHS[:, channel]) for channel in range(3)]
    found: NDArray[np.uint8] = np.where(valid[..., None], np.stack(channels, -1), 0).astype(np.uint8)
    return found


def normals(normal: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, 3], (n + 1) / 2, black where there is none."""
    there = (normal != 0).any(-1, keepdims=True)
    found: NDArray[np.uint8] = np.where(there, as_bytes((normal.astype(np.float32) + 1) / 2), 0).astype(np.uint8)
    return found
