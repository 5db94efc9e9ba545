"""The original downloads of CityScapes: the folders leftImg8bit, gtFine and disparity, 1024 x 2048."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.pictures import read_picture, read_plane
from go4align.benchmarks.samples import write_samples
from go4align.errors import UserError

HEIGHT = 128
WIDTH = 256
SPLITS: Mapping[str, str] = {"train": "train", "test": "val"}
"""The folder of each split: official test images have no public labels."""
ENDINGS: Mapping[str, str] = {
    "leftImg8bit": "_leftImg8bit.png",
    "gtFine": "_gtFine_labelIds.png",
    "disparity": "_disparity.png",
}
_FIRST_IDS = (7, 11, 17, 21, 23, 24, 26)
_LARGEST_ID = 33
"""The ids of a category (catId in labels.py of cityscapesScripts) follow each other, the last one's to the largest."""
_LICENCE_PLATE = 255
"""Of the last category, with the id -1, which a byte can keep as this only; official pictures do not draw it."""
_NOT_EVALUATED = (9, 10, 14, 15, 16, 18, 29, 30, _LICENCE_PLATE)
"""Ids of a category that is not among the 19 evaluated classes: parking, bridge, caravan and their like."""

Sample = Mapping[str, Path]


def find_originals(given: Sequence[Path]) -> dict[str, list[Sample]]:
    """The files of every sample of each split, in the order of their names; none is read.

    Args:
        given: one folder that holds the three, or the three themselves.

    Raises:
        UserError: a folder is missing, or a sample lacks a file.
    """
    folders = _folders(given)
    return {split: _samples(folders, folder) for split, folder in SPLITS.items()}


def convert_originals(samples: Mapping[str, Sequence[Sample]], classes: str, folder: Path) -> None:
    """Write the prepared arrays of both splits into `folder`; every picture resized to the nearest pixel, as published.

    Args:
        samples: of each split.
        classes: which ids of the seven categories count; see `label_of_id`.
        folder: where they are written.
    """
    write_samples("CityScapes", samples, partial(_read, label_of_id(classes)), folder)


def label_of_id(classes: str) -> NDArray[np.int8]:
    """[256]: the class, 0 to 6, of each byte of a picture of label ids; -1 where there is none.

    Args:
        classes: "all", every id of a category; or "evaluated", only those of the 19 evaluated classes. Which one the
            published files used is not known.
    """
    found = np.full(256, -1, np.int8)
    for number, (first, after) in enumerate(pairwise((*_FIRST_IDS, _LARGEST_ID + 1))):
        found[first:after] = number
    found[_LICENCE_PLATE] = len(_FIRST_IDS) - 1
    if classes == "evaluated":
        found[list(_NOT_EVALUATED)] = -1
    return found


def _read(label_of: NDArray[np.int8], paths: Sample) -> dict[str, NDArray[Any]]:
    size = (HEIGHT, WIDTH)
    ids = read_plane(paths["gtFine"], size=size)
    wrong = ids[(ids > _LARGEST_ID) & (ids != _LICENCE_PLATE)]
    if wrong.size:
        raise UserError(
            f"{paths['gtFine']}: label ids must be 0 to {_LARGEST_ID}, found {wrong[0]}. Is it a labelIds picture?"
        )
    return {
        "image": read_picture(paths["leftImg8bit"], size=size, nearest=True),
        "label": label_of[ids],
        "depth": read_plane(paths["disparity"], size=size).astype(np.uint16),
    }


def _folders(given: Sequence[Path]) -> dict[str, Path]:
    """The three folders by name."""
    for path in given:
        if path.suffix == ".zip":
            raise UserError(f"`--raw` must name folders, found {path.name}. Unpack it first.")
        if not path.is_dir():
            raise UserError(f"`--raw` must name folders, found none at {path}. Check the path.")
    found = {}
    for name in ENDINGS:
        inside = [path / name for path in given if (path / name).is_dir()]
        here = [path for path in given if path.name == name] or inside
        if not here:
            where = ", ".join(str(path) for path in given)
            raise UserError(
                f"`--raw` must name a folder with {', '.join(ENDINGS)} in it, found no {name} in {where}. Unpack "
                f"{name}_trainvaltest.zip there."
            )
        found[name] = here[0]
    return found


def _samples(folders: Mapping[str, Path], split: str) -> list[Sample]:
    found = {name: _files(path / split, ENDINGS[name]) for name, path in folders.items()}
    every = sorted(set().union(*found.values()))
    for name, files in found.items():
        if not files:
            raise UserError(
                f"{folders[name] / split} must hold city/*{ENDINGS[name]}, found none. Unpack the download there."
            )
        if missing := sorted(set(every) - files.keys()):
            raise UserError(
                f"{folders[name] / split}: every sample needs a file *{ENDINGS[name]}, found {len(missing)} without, "
                f"for one {missing[0]}. Fetch what is missing, or remove the rest of those samples."
            )
    return [{name: files[sample] for name, files in found.items()} for sample in every]


def _files(folder: Path, ending: str) -> dict[str, Path]:
    """By sample: "aachen_000000_000019"."""
    return {path.name.removesuffix(ending): path for path in folder.glob(f"*/*{ending}")}
