"""The folders that MTAN's and CAGrad's authors published: a .npy file for each sample and modality.

`{root}/{train,val}/{image,label,depth,normal}/{0..N-1}.npy`; their `val` is the official test set. What a file must
hold is a `Modality`, which reads one and refuses in one line what cannot be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.samples import write_samples
from go4align.errors import UserError

SPLITS: Mapping[str, str] = {"train": "train", "test": "val"}
"""The folder of each split."""

_ONE_HEADER = Lock()
"""NumPy parses a header by `ast.literal_eval`, at which Python 3.11 fails in several threads (cpython#106905)."""

Read = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Modality:
    """What the files of a folder hold.

    Attributes:
        name: of the prepared array.
        folders: the names that published copies use.
        read: from a file's array to the prepared pixels [H, W] or [H, W, C]; a `UserError` says what was required and
            found.
    """

    name: str
    folders: Sequence[str]
    read: Read


@dataclass(frozen=True)
class Tree:
    """A folder in the published layout, looked at: every modality has the same samples.

    Attributes:
        root: the folder.
        modalities: what each sample has.
        files: by split and modality, in the order of their numbers.
    """

    root: Path
    modalities: Sequence[Modality]
    files: Mapping[str, Mapping[str, Sequence[Path]]]

    def convert(self, data_set: str, folder: Path) -> None:
        """Write the prepared arrays into `folder`, sample by sample."""
        first = next(iter(self.files["train"].values()))[0]
        size = load(self.modalities[0], first).shape[:2]
        samples = {split: list(_samples(files)) for split, files in self.files.items()}
        write_samples(data_set, samples, partial(self._read, size), folder)

    def _read(self, size: tuple[int, ...], paths: Mapping[str, Path]) -> dict[str, NDArray[Any]]:
        """The prepared pixels of a sample, whose modalities all have that height and width."""
        found = {}
        for modality in self.modalities:
            found[modality.name] = load(modality, paths[modality.name])
            _check_size(found[modality.name], size, paths[modality.name])
        return found


def find_tree(root: Path, modalities: Sequence[Modality]) -> Tree:
    """Look at a folder: which files there are, without reading them.

    Raises:
        UserError: it is no such folder, or a sample lacks a modality.
    """
    _check_root(root)
    files = {split: _files(root / folder, modalities) for split, folder in SPLITS.items()}
    return Tree(root, modalities, files)


def load(modality: Modality, path: Path) -> NDArray[Any]:
    """The prepared pixels of one file.

    Raises:
        UserError: it cannot be read, or holds what cannot be right.
    """
    try:
        with _ONE_HEADER:
            found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error} Fetch it again.") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise UserError(f"{path} must hold an array of numbers, found {getattr(found, 'dtype', type(found).__name__)}.")
    try:
        return modality.read(found)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _samples(files: Mapping[str, Sequence[Path]]) -> Iterator[dict[str, Path]]:
    for paths in zip(*files.values(), strict=True):
        yield dict(zip(files, paths, strict=True))


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise UserError(f"`--root` must be a folder, found none at {root}. Check the path.")
    wanted = tuple(SPLITS.values())
    if all((root / folder).is_dir() for folder in wanted):
        return
    near = [root.parent, *sorted(path for path in root.iterdir() if path.is_dir())]
    for other in near:
        if all((other / folder).is_dir() for folder in wanted):
            raise UserError(f"`--root` must hold the folders train and val, found none in {root}. Try --root {other}")
    found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    raise UserError(f"`--root` must hold the folders train and val, found {found} in {root}. Check the path.")


def _files(folder: Path, modalities: Sequence[Modality]) -> dict[str, list[Path]]:
    found = {modality.name: _numbered(_folder(folder, modality)) for modality in modalities}
    every = set().union(*found.values())
    if not every:
        raise UserError(f"{folder} must hold .npy files, found none. Check that the download is complete.")
    for name, paths in found.items():
        if missing := sorted(every - paths.keys()):
            where = next(other for other, numbers in found.items() if missing[0] in numbers)
            raise UserError(
                f"{folder}: every sample needs all of {', '.join(found)}, found {len(missing)} without {name}, for one "
                f"{missing[0]}.npy, which {where} has. Fetch what is missing, or remove the rest of those samples."
            )
    return {name: [paths[number] for number in sorted(paths)] for name, paths in found.items()}


def _folder(folder: Path, modality: Modality) -> Path:
    for name in modality.folders:
        if (folder / name).is_dir():
            return folder / name
    names = " or ".join(modality.folders)
    raise UserError(f"{folder} must hold a folder {names}, found none. Check that the download is complete.")


def _numbered(folder: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if path.suffix != ".npy" or path.name.startswith("."):
            continue
        if not path.stem.isascii() or not path.stem.isdigit():
            raise UserError(f"{folder} must hold files named by numbers, as 0.npy, found {path.name}. Remove it.")
        if int(path.stem) in found:
            raise UserError(f"{folder} must hold each number once, found {found[int(path.stem)].name} and {path.name}.")
        found[int(path.stem)] = path
    return found


def _check_size(pixels: NDArray[Any], size: tuple[int, ...], path: Path) -> None:
    if pixels.shape[:2] != size:
        required = " x ".join(map(str, size))
        found = " x ".join(map(str, pixels.shape[:2]))
        raise UserError(f"{path}: all pictures must be of one size, {required} as the first, found {found}.")
