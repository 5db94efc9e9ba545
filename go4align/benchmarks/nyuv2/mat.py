"""The original download, `nyu_depth_v2_labeled.mat`: pictures, depth and raw labels, 480 x 640.

It has neither a split nor the 13 classes nor normals: the first two are facts (`official`), the last are derived from
its depth (`plane_fits`), so that they are no ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.dense.modalities import read_metric_depth
from go4align.benchmarks.nyuv2 import official
from go4align.benchmarks.nyuv2.plane_fits import fitted_normals
from go4align.benchmarks.pictures import INSTALL, pillow
from go4align.benchmarks.samples import write_samples
from go4align.errors import UserError

HEIGHT = 288
WIDTH = 384
_FULL = (480, 640)
_FOCAL = (518.857901, 519.469611)
_CENTRE = (324.582449, 252.736166)
"""Of the colour camera, into whose picture the depth was projected: camera_params.m of the NYU toolbox, in pixels; the
principal point is counted from 0 here."""
_SHAPES = {"images": (3, 640, 480), "depths": (640, 480), "rawDepths": (640, 480), "labels": (640, 480)}
"""Of an image, as h5py shows MATLAB's arrays: the other way round."""


def check_mat(path: Path) -> None:
    """Look at what the file holds, without reading its pixels.

    Raises:
        UserError: it is not the labelled NYUv2, or it is not whole.
    """
    with _opened(path) as file:
        for name, shape in _SHAPES.items():
            found = getattr(file.get(name), "shape", None)
            required = (official.IMAGES, *shape)
            if found != required:
                told = "none" if found is None else " x ".join(map(str, found))
                raise UserError(
                    f"{path} must hold {name} of {' x '.join(map(str, required))}, found {told}. Give "
                    "nyu_depth_v2_labeled.mat itself."
                )


def convert_mat(path: Path, depths: str, folder: Path) -> None:
    """Write the prepared arrays of both splits into `folder`.

    Args:
        path: the file.
        depths: "depths" (in-painted) or "rawDepths" (0 where nothing was measured).
        folder: where they are written.
    """
    with _opened(path) as file:
        samples = {name: official.split(name).tolist() for name in ("train", "test")}
        write_samples("NYUv2", samples, partial(_read, path, file, depths), folder)


def _read(path: Path, file: Any, depths: str, number: int) -> dict[str, NDArray[Any]]:
    """The prepared pixels of an image."""
    try:
        found = {name: np.asarray(file[name][number]) for name in _SHAPES}
    except OSError as error:
        raise UserError(f"{path}: image {number + 1} cannot be read: {error}. Fetch the file again.") from None
    try:
        return prepared_pixels(found, depths)
    except UserError as error:
        raise UserError(f"{path}: image {number + 1}: {error}") from None


def prepared_pixels(found: dict[str, NDArray[Any]], depths: str) -> dict[str, NDArray[Any]]:
    """The prepared pixels of an image: pictures shrunk bilinear, all else to the nearest pixel.

    Normals are fitted where a depth was measured; in-painted ones say nothing of a surface.

    Args:
        found: the file's arrays of one image.
        depths: which of its two depths is prepared.
    """
    label = _nearest(found["labels"].T)
    if label.max() > official.RAW_LABELS:
        raise UserError(f"raw labels must be 0 to {official.RAW_LABELS}, found {label.max()}. Fetch the file again.")
    metres = _nearest(found[depths].T).astype(np.float32)
    measured = np.where(_nearest(found["rawDepths"].T) > 0, _nearest(found["depths"].T), 0).astype(np.float32)
    return {
        "image": _shrunk(found["images"].transpose(2, 1, 0)),
        "label": official.classes_of_raw()[label],
        "depth": read_metric_depth(metres),
        "normal": fitted_normals(np.nan_to_num(measured), *_camera()).astype(np.float16),
    }


def _camera() -> tuple[tuple[float, float], tuple[float, float]]:
    """Focal lengths and principal point, along x and y, of the prepared size."""
    scale = (WIDTH / _FULL[1], HEIGHT / _FULL[0])
    focal = (_FOCAL[0] * scale[0], _FOCAL[1] * scale[1])
    return focal, ((_CENTRE[0] + 0.5) * scale[0] - 0.5, (_CENTRE[1] + 0.5) * scale[1] - 0.5)


def _nearest(pixels: NDArray[Any]) -> NDArray[Any]:
    """[H, W, ...] at the prepared size: the pixel in which each one's middle lies."""
    rows = ((np.arange(HEIGHT) + 0.5) * pixels.shape[0] / HEIGHT).astype(int)
    columns = ((np.arange(WIDTH) + 0.5) * pixels.shape[1] / WIDTH).astype(int)
    found: NDArray[Any] = pixels[rows[:, None], columns]
    return found


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = pillow()
    return np.asarray(image.fromarray(np.ascontiguousarray(picture)).resize((WIDTH, HEIGHT), image.Resampling.BILINEAR))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise UserError(f"Reading {path.name} needs the package h5py, which is not installed: {INSTALL}") from None
    if not path.is_file():
        raise UserError(f"`--raw` must name nyu_depth_v2_labeled.mat, found no file at {path}. Check the path.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path} cannot be read as HDF5: {error}. It may be cut short: fetch it again.") from None
    with file:
        yield file
