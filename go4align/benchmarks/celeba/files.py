"""CelebA's text files, read right whatever their line ends, spaces and counts: which picture has which attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.celeba.attributes import PUBLISHED_F1
from go4align.errors import UserError

SPLITS = {"train": 0, "val": 1, "test": 2}
"""As the partition file has them."""
_VALUES = {"1": 1, "-1": 0}


@dataclass(frozen=True)
class Listed:
    """What the text files say.

    Attributes:
        images: the folder of the pictures.
        names: by split, in the order of the partition file.
        attributes: by a picture's name, [40] of 0 and 1.
    """

    images: Path
    names: Mapping[str, list[str]]
    attributes: Mapping[str, NDArray[np.uint8]]


def read_lists(root: Path) -> Listed:
    """Read the text files of a folder and look which pictures it has.

    Raises:
        UserError: it is no such folder, or its files do not go together.
    """
    attributes = _attributes(_file(root, "Anno", "list_attr_celeba.txt"))
    partition = _file(root, "Eval", "list_eval_partition.txt")
    names = _partition(partition)
    images = _images(root)
    for listed in names.values():
        for name in listed:
            if name not in attributes:
                raise UserError(
                    f"{partition}: every picture needs attributes, found none for {name}. Fetch Anno again."
                )
    there = {path.name for path in images.iterdir()}
    missing = [name for listed in names.values() for name in listed if name not in there]
    if missing:
        raise UserError(
            f"{images} must hold every picture that {partition.name} lists, found {len(missing):,} missing, for one "
            f"{missing[0]}. Unpack img_align_celeba.zip again."
        )
    return Listed(images, names, attributes)


def _file(root: Path, folder: str, name: str) -> Path:
    """In its official folder, or beside the others."""
    if not root.is_dir():
        raise UserError(f"`--root` must be a folder, found none at {root}. Check the path.")
    for path in (root / folder / name, root / name):
        if path.is_file():
            return path
    for near in (root.parent, *sorted(path for path in root.iterdir() if path.is_dir())):
        if (near / folder / name).is_file() or (near / name).is_file():
            raise UserError(f"`--root` must hold {folder}/{name}, found none in {root}. Try --root {near}")
    raise UserError(
        f"`--root` must hold {folder}/{name}, found none in {root}. Fetch CelebA's folders Anno, Eval and Img."
    )


def _images(root: Path) -> Path:
    for path in (root / "Img" / "img_align_celeba", root / "img_align_celeba"):
        inner = path / "img_align_celeba"  # as some archives unpack
        for folder in (path, inner):
            if folder.is_dir() and any(file.suffix == ".jpg" for file in folder.iterdir()):
                return folder
    raise UserError(
        f"`--root` must hold Img/img_align_celeba with .jpg files, found none in {root}. Unpack the archive."
    )


def _lines(path: Path) -> list[list[str]]:
    """The words of every line that has any."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error} Fetch it again.") from None
    return [words for line in text.splitlines() if (words := line.split())]


def _attributes(path: Path) -> dict[str, NDArray[np.uint8]]:
    lines = _lines(path)
    names = list(PUBLISHED_F1)
    header = next((number for number, words in enumerate(lines[:2]) if words == names), None)
    if header is None:
        raise UserError(f"{path} must name CelebA's 40 attributes in its second line, found others. Fetch it again.")
    found: dict[str, NDArray[np.uint8]] = {}
    for name, *values in lines[header + 1 :]:
        if len(values) != len(names):
            raise UserError(f"{path}: {name} must have {len(names)} values, found {len(values)}. Fetch the file again.")
        if wrong := [value for value in values if value not in _VALUES]:
            raise UserError(f"{path}: values must be 1 or -1, found {wrong[0]} for {name}. Fetch the file again.")
        if name in found:
            raise UserError(f"{path} must have each picture once, found {name} twice. Remove one line.")
        found[name] = np.array([_VALUES[value] for value in values], np.uint8)
    return found


def _partition(path: Path) -> dict[str, list[str]]:
    numbers = {str(number): split for split, number in SPLITS.items()}
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    for words in _lines(path):
        if len(words) != 2 or words[1] not in numbers:
            raise UserError(f"{path}: lines must be a name and 0, 1 or 2, found '{' '.join(words)}'. Fetch it again.")
        if words[0] in seen:
            raise UserError(f"{path} must have each picture once, found {words[0]} twice. Remove one line.")
        seen.add(words[0])
        found[numbers[words[1]]].append(words[0])
    for split, names in found.items():
        if not names:
            raise UserError(f"{path} must list pictures of each split, found none of {split} ({SPLITS[split]}).")
    return found
