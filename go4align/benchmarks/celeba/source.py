"""Where CelebA comes from: the official folders Anno, Eval and Img."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.celeba.attributes import PUBLISHED_F1
from go4align.benchmarks.celeba.files import SPLITS, Listed, read_lists
from go4align.benchmarks.data import DataSource
from go4align.benchmarks.inspection import Finding, Inspection
from go4align.benchmarks.pictures import read_picture
from go4align.benchmarks.prepared import Build
from go4align.benchmarks.samples import write_samples
from go4align.errors import UserError

SIZE = 64
"""Pixels of height and width; the aspect of 178 x 218 is not kept, as published."""
OFFICIAL = {"train": 162_770, "val": 19_867, "test": 19_962}
_LOOKED_AT = 200
"""Pictures of each split that an inspection reads."""
_RARE = 0.05


class CelebASource(DataSource):
    """Aligned faces, 178 x 218, resized to 64 x 64 (bilinear)."""

    name: ClassVar[str] = "celeba"
    how_to_get: ClassVar[str] = (
        "Get the folders Anno, Eval and Img (its zip unpacked) from mmlab.ie.cuhk.edu.hk/projects/CelebA.html,"
        " then: study data celeba --root DIR"
    )

    def from_root(self, root: Path) -> Build:
        """What converts the official folders; reads their text files first."""
        return partial(convert, read_lists(root))

    def inspect(self, root: Path) -> Inspection:
        """Counts, attributes' frequencies, and some of the pictures."""
        try:
            listed = read_lists(root)
        except UserError as error:
            return Inspection([Finding("files", str(error), "wrong")], {})
        findings = [_counted(split, names) for split, names in listed.names.items()]
        findings += [_read(split, listed) for split in listed.names]
        findings.append(_frequencies(listed))
        return Inspection(findings, _samples(listed))


def convert(listed: Listed, folder: Path) -> None:
    """Write the arrays of every split into `folder`."""

    def read(name: str) -> dict[str, NDArray[np.uint8]]:
        return {"image": _face(listed.images, name), "attributes": listed.attributes[name]}

    write_samples("CelebA", listed.names, read, folder)


def _face(folder: Path, name: str) -> NDArray[np.uint8]:
    return read_picture(folder / name, size=(SIZE, SIZE))


def _counted(split: str, names: list[str]) -> Finding:
    official = OFFICIAL[split]
    if len(names) == official:
        return Finding(split, f"{len(names):,} pictures, as published")
    return Finding(
        split,
        f"{len(names):,} pictures, published are {official:,}",
        "note",
        "Numbers will not compare with published ones.",
    )


def _read(split: str, listed: Listed) -> Finding:
    names = listed.names[split][:: max(1, len(listed.names[split]) // _LOOKED_AT)]
    for name in names:
        try:
            _face(listed.images, name)
        except UserError as error:
            return Finding(f"{split}/pictures", str(error), "wrong", "Unpack img_align_celeba.zip again.")
    return Finding(f"{split}/pictures", f"{len(names)} of them read, all whole")


def _frequencies(listed: Listed) -> Finding:
    train = np.stack([listed.attributes[name] for name in listed.names["train"]]).mean(0)
    shares = dict(zip(PUBLISHED_F1, train.tolist(), strict=True))
    rare = [f"{name} {share:.1%}" for name, share in shares.items() if share < _RARE]
    constant = [name for name, share in shares.items() if share in (0, 1)]
    if constant:
        return Finding(
            "train/attributes", f"no picture differs in {', '.join(constant)}", "note", "Their F1 says nothing."
        )
    return Finding(
        "train/attributes", f"from {min(train):.1%} to {max(train):.1%} yes; rare: {', '.join(rare) or 'none'}"
    )


def _samples(listed: Listed) -> dict[str, dict[str, NDArray[np.uint8]]]:
    found = {}
    for split in SPLITS:
        for name in listed.names[split][:2]:
            try:
                found[f"{split}/{name}"] = {
                    "as published": read_picture(listed.images / name),
                    "64 x 64": np.kron(_face(listed.images, name), np.ones((3, 3, 1), np.uint8)),
                }
            except UserError:
                continue
    return found
