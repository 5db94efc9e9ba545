"""What pixels of each kind must hold, and how they are stored: compact, read right, or refused in one line."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.dense.batch import DISPARITY_UNIT
from go4align.benchmarks.dense.tree import Modality
from go4align.benchmarks.inspection import as_bytes
from go4align.errors import UserError
from go4align.metrics.segmentation import VOID

_DEEPEST_M = 100.0
"""Metres: farther than any room, and than what sensors of rooms see."""
_SLACK = 1e-3
"""Rounding of stored numbers in [0, 1]."""
_UNIT = 0.05
"""How far from 1 the length of a stored normal may be: float16, or JPEG before, and interpolation by others."""


def image(folders: tuple[str, ...] = ("image",)) -> Modality:
    """Pictures in [0, 1], or in 0..255 as uint8."""
    return Modality("image", folders, read_image)


def label(n_classes: int, folders: tuple[str, ...] = ("label",)) -> Modality:
    """Classes 0 to C - 1, -1 where there is none."""
    return Modality("label", folders, partial(read_label, n_classes=n_classes))


def metric_depth(folders: tuple[str, ...] = ("depth",)) -> Modality:
    """Metres, 0 where there is none; stored as float16, which errs by 4 mm at 8 m."""
    return Modality("depth", folders, read_metric_depth)


def inverse_depth(folders: tuple[str, ...] = ("depth",)) -> Modality:
    """Disparity / 65,535, 0 where there is none; stored as the 16-bit number that it came from."""
    return Modality("depth", folders, read_inverse_depth)


def normal(folders: tuple[str, ...] = ("normal",)) -> Modality:
    """Unit vectors, zero where there is none."""
    return Modality("normal", folders, read_normal)


def read_image(found: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, 3] uint8."""
    _check_channels(found, 3)
    if found.dtype == np.uint8:
        return found
    _check_finite(found)
    low, high = float(found.min()), float(found.max())
    if low < -_SLACK or high > 1 + _SLACK:
        raise UserError(
            f"an image must lie in [0, 1], or in 0 to 255 as uint8, found {low:g} to {high:g} as {found.dtype}. Divide "
            "it, or store it as uint8."
        )
    return as_bytes(found)


def read_label(found: NDArray[Any], n_classes: int) -> NDArray[np.int8]:
    """[H, W] int8."""
    found = _plane(found)
    _check_finite(found)
    whole = np.round(found.astype(np.float64))
    if (whole != found).any():
        raise UserError(f"labels must be whole numbers, found {float(found[whole != found][0]):g}.")
    wrong = whole[(whole < VOID) | (whole >= n_classes)]
    if wrong.size:
        raise UserError(
            f"labels must be 0 to {n_classes - 1}, or {VOID} where there is none, found {wrong[0]:g}. Map them to the "
            f"{n_classes} classes first."
        )
    return whole.astype(np.int8)


def read_metric_depth(found: NDArray[Any]) -> NDArray[np.float16]:
    """[H, W] float16."""
    found = _plane(found)
    _check_finite(found)
    _check_range(found, _DEEPEST_M, "depth must be in metres", "Divide millimetres by 1000.")
    return found.astype(np.float16)


def read_inverse_depth(found: NDArray[Any]) -> NDArray[np.uint16]:
    """[H, W] uint16."""
    found = _plane(found)
    if found.dtype.kind in "iu":
        _check_range(found, DISPARITY_UNIT, "16-bit disparities must be whole numbers", "Check the file.")
        return found.astype(np.uint16)
    _check_finite(found)
    _check_range(found, 1.0, "inverse depth must be disparity / 65,535", "Store disparities as 16-bit whole numbers.")
    return np.round(found.astype(np.float64) * DISPARITY_UNIT).astype(np.uint16)


def read_normal(found: NDArray[Any]) -> NDArray[np.float16]:
    """[H, W, 3] float16."""
    _check_channels(found, 3)
    _check_finite(found)
    length = np.linalg.norm(found.astype(np.float32), axis=-1)
    wrong = length[(length > 0) & (np.abs(length - 1) > _UNIT)]
    if wrong.size:
        raise UserError(
            f"normals must be of length 1, or 0 where there is none, found {wrong[0]:g} ({wrong.size} pixels). "
            "Pictures of normals are 2 * value - 1, then normalised."
        )
    return found.astype(np.float16)


def _check_channels(found: NDArray[Any], channels: int) -> None:
    if found.ndim != 3 or found.shape[2] != channels or 0 in found.shape:
        hint = " Move the channels to the end." if found.ndim == 3 and found.shape[0] == channels else ""
        raise UserError(f"the shape must be H x W x {channels}, found {_shape(found)}.{hint}")


def _plane(found: NDArray[Any]) -> NDArray[Any]:
    """[H, W] of [H, W] or [H, W, 1]."""
    plane = found[..., 0] if found.ndim == 3 and found.shape[2] == 1 else found
    if plane.ndim != 2 or 0 in plane.shape:
        hint = " Move the channel to the end." if found.ndim == 3 and found.shape[0] == 1 else ""
        raise UserError(f"the shape must be H x W or H x W x 1, found {_shape(found)}.{hint}")
    return plane


def _check_finite(found: NDArray[Any]) -> None:
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise UserError(f"numbers must be finite, found {bad} that are not. Mark missing ones by 0.")


def _check_range(found: NDArray[Any], high: float, required: str, remedy: str) -> None:
    low, most = float(found.min()), float(found.max())
    if low < 0 or most > high:
        raise UserError(f"{required}, 0 to {high:g}, 0 where there is none, found {low:g} to {most:g}. {remedy}")


def _shape(found: NDArray[Any]) -> str:
    return " x ".join(map(str, found.shape)) or "a single number"
