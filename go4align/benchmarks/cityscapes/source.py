"""Where CityScapes comes from: the published tree of .npy files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from go4align.benchmarks.data import DataSource
from go4align.benchmarks.dense import modalities
from go4align.benchmarks.dense.tree import Tree, find_tree
from go4align.benchmarks.prepared import Build

CLASSES = 7


class CityScapesSource(DataSource):
    """The tree of MTAN's and CAGrad's authors, 128 x 256."""

    name: ClassVar[str] = "cityscapes"
    how_to_get: ClassVar[str] = (
        "Get the folder cityscapes of MTAN's authors (github.com/lorenmt/mtan, with train/ and val/ of image, label_7, "
        "depth as .npy), then: study data cityscapes --root DIR"
    )

    def from_root(self, root: Path) -> Build:
        """What converts a tree with train and val; looks at which files it has first."""
        return partial(self.tree(root).convert, "CityScapes")

    @staticmethod
    def tree(root: Path) -> Tree:
        """The tree, looked at."""
        kinds = [modalities.image(), modalities.label(CLASSES, ("label_7", "label")), modalities.inverse_depth()]
        return find_tree(root, kinds)
