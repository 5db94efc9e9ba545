"""Picture files in, arrays out; and samples composed to one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from go4align.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = "pip install 'go4align-study[images]'"

_PLANES = ("L", "P", "I;16", "I;16B", "I")
"""Pillow's modes of one channel of whole numbers."""
_CAPTION = 14
_GAP = 6
_LEGEND = 110
"""Pixels of width for each column of a legend."""
_LARGEST = 320
"""Pixels of a sample's height in a composed picture: larger ones are made smaller."""


def pillow() -> Any:
    """The module PIL.Image.

    Raises:
        UserError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise UserError(f"Reading pictures needs the package pillow, which is not installed: {INSTALL}") from None
    return Image


def read_picture(path: Path, *, size: tuple[int, int] | None = None, nearest: bool = False) -> NDArray[np.uint8]:
    """RGB [H, W, 3], resized to `size`, (height, width), bilinear or to the nearest pixel.

    Raises:
        UserError: it cannot be read.
    """
    picture = _opened(path).convert("RGB")
    if size is not None and size != (picture.height, picture.width):
        resampling = pillow().Resampling
        picture = picture.resize((size[1], size[0]), resampling.NEAREST if nearest else resampling.BILINEAR)
    return np.asarray(picture)


def read_plane(path: Path, *, size: tuple[int, int]) -> NDArray[Any]:
    """A picture of one channel, [H, W] of whole numbers of 8 or 16 bits, resized to the nearest pixel.

    Raises:
        UserError: it cannot be read, or has several channels.
    """
    picture = _opened(path)
    if picture.mode not in _PLANES:
        required = "a picture of one channel of 8 or 16 bits"
        raise UserError(f"{path} must be {required}, found mode {picture.mode}. Fetch it again.")
    return np.asarray(picture.resize((size[1], size[0]), pillow().Resampling.NEAREST))


def _opened(path: Path) -> Any:
    """The decoded picture."""
    image = pillow()
    try:
        with image.open(path) as opened:
            opened.load()
            return opened
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as a picture: {error}. Fetch it again.") from None


def bytes_of_pictures(benchmark: str, samples: Tensor | NDArray[Any], smallest: int = 1) -> Tensor:
    """New samples of a benchmark of pictures, as they are.

    Raises:
        UserError: they are not [B, H, W, 3] of bytes, or smaller than `smallest` pixels.
    """
    import torch

    samples = torch.as_tensor(samples)
    if samples.ndim != 4 or samples.shape[3] != 3 or str(samples.dtype) != "torch.uint8":
        required = f"New pictures of {benchmark} must be [B, H, W, 3] of bytes (uint8)"
        raise UserError(f"{required}, found {list(samples.shape)} of {samples.dtype}.")
    if min(samples.shape[1:3]) < smallest:
        raise UserError(f"New pictures of {benchmark} must have {smallest} x {smallest} pixels or more.")
    return samples


def compose(samples: Mapping[str, Mapping[str, NDArray[np.uint8]]], path: Path) -> None:
    """Draw samples as a PNG: a row each, all its modalities side by side, with captions.

    Args:
        samples: by caption, pictures [H, W, 3] by modality.
        path: the file, which is replaced.

    Raises:
        UserError: it cannot be written.
    """
    image = pillow()
    rows = [_row(caption, pictures, image) for caption, pictures in samples.items()]
    width = max(row.width for row in rows)
    whole = image.new("RGB", (width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height
    try:
        whole.save(path, "PNG")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _row(caption: str, pictures: Mapping[str, NDArray[np.uint8]], image: Any) -> Any:
    from PIL import ImageDraw

    drawn = {name: _shrunk(image.fromarray(pixels)) for name, pixels in pictures.items()}
    height = max(picture.height for picture in drawn.values())
    width = sum(picture.width + _GAP for picture in drawn.values())
    row = image.new("RGB", (width, height + _CAPTION + _GAP), "white")
    draw = ImageDraw.Draw(row)
    left = 0
    for number, (name, picture) in enumerate(drawn.items()):
        draw.text((left + 2, 1), f"{caption}: {name}" if number == 0 else name, fill="black")
        row.paste(picture, (left, _CAPTION))
        left += picture.width + _GAP
    return row


def _shrunk(picture: Any) -> Any:
    if picture.height <= _LARGEST:
        return picture
    return picture.resize((round(picture.width * _LARGEST / picture.height), _LARGEST))


def swatches(colours: list[tuple[str, NDArray[np.uint8]]], height: int) -> NDArray[np.uint8]:
    """A legend [height, W, 3]: a square of each colour with its name, in columns."""
    image = pillow()
    from PIL import ImageDraw

    rows = max(1, min(height, _LARGEST) // _CAPTION)
    columns = max(1, -(-len(colours) // rows))
    legend = image.new("RGB", (columns * _LEGEND, height), "white")
    draw = ImageDraw.Draw(legend)
    for number, (name, colour) in enumerate(colours):
        column, row = divmod(number, rows)
        left, top = column * _LEGEND + 2, row * _CAPTION
        draw.rectangle((left, top + 2, left + 10, top + 12), fill=tuple(colour.tolist()))
        draw.text((left + 15, top + 1), name, fill="black")
    return np.asarray(legend)
