"""Where NYUv2 comes from: the published tree of .npy files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from go4align.benchmarks.data import DataSource
from go4align.benchmarks.dense import modalities
from go4align.benchmarks.dense.doctor import inspect_tree
from go4align.benchmarks.dense.tree import find_tree
from go4align.benchmarks.inspection import Inspection
from go4align.benchmarks.prepared import Build

CLASSES = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)
"""In the order of the labels."""

OFFICIAL = {"train": 795, "test": 654}

MODALITIES = [modalities.image(), modalities.label(len(CLASSES)), modalities.metric_depth(), modalities.normal()]


class NYUv2Source(DataSource):
    """The tree of MTAN's and CAGrad's authors, 288 x 384."""

    name: ClassVar[str] = "nyuv2"
    how_to_get: ClassVar[str] = (
        "Get the folder nyuv2 of MTAN's authors (github.com/lorenmt/mtan, with train/ and val/ of image, label, depth "
        "and normal as .npy), then: study data nyuv2 --root DIR"
    )

    def from_root(self, root: Path) -> Build:
        """What converts a tree with train and val; looks at which files it has first."""
        return partial(find_tree(root, MODALITIES).convert, "NYUv2")

    def inspect(self, root: Path) -> Inspection:
        """Counts, sizes, ranges, void markers, missing classes, and some of the samples."""
        return inspect_tree(root, MODALITIES, CLASSES, OFFICIAL, inverse=False)
