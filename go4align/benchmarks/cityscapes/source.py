"""Where CityScapes comes from: the published tree of .npy files, or the original downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from go4align.benchmarks.cityscapes.originals import convert_originals, find_originals
from go4align.benchmarks.data import DataSource
from go4align.benchmarks.dense import modalities
from go4align.benchmarks.dense.doctor import inspect_tree
from go4align.benchmarks.dense.tree import find_tree
from go4align.benchmarks.inspection import Inspection
from go4align.benchmarks.prepared import Build

CLASSES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
"""In the order of the labels."""

OFFICIAL = {"train": 2975, "test": 500}

MODALITIES = [modalities.image(), modalities.label(len(CLASSES), ("label_7", "label")), modalities.inverse_depth()]


class CityScapesSource(DataSource):
    """The tree of MTAN's and CAGrad's authors, 128 x 256; or leftImg8bit, gtFine and disparity, shrunk to that size."""

    name: ClassVar[str] = "cityscapes"
    how_to_get: ClassVar[str] = (
        "Get the folder cityscapes of MTAN's authors (github.com/lorenmt/mtan, with train/ and val/ of image, label_7, "
        "depth as .npy), then: study data cityscapes --root DIR. Or leftImg8bit, gtFine and disparity "
        "(trainvaltest.zip, unpacked) from cityscapes-dataset.com, then: study data cityscapes --raw DIR"
    )
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"classes": ("all", "evaluated")}

    def from_root(self, root: Path) -> Build:
        """What converts a tree with train and val; looks at which files it has first."""
        return partial(find_tree(root, MODALITIES).convert, "CityScapes")

    def from_raw(self, files: Sequence[Path], choices: Mapping[str, str]) -> Build:
        """What converts the three official folders; looks at which files they have first."""
        return partial(convert_originals, find_originals(files), choices["classes"])

    def inspect(self, root: Path) -> Inspection:
        """Counts, sizes, ranges, void markers, missing classes, and some of the samples."""
        return inspect_tree(root, MODALITIES, CLASSES, OFFICIAL, inverse=True)
