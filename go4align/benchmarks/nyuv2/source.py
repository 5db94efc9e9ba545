"""Where NYUv2 comes from: the published tree of .npy files, or the original download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from go4align.benchmarks.data import DataSource
from go4align.benchmarks.dense import modalities
from go4align.benchmarks.dense.doctor import inspect_tree
from go4align.benchmarks.dense.tree import find_tree
from go4align.benchmarks.inspection import Inspection
from go4align.benchmarks.nyuv2.mat import check_mat, convert_mat
from go4align.benchmarks.prepared import Build
from go4align.errors import UserError

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
    """The tree of MTAN's and CAGrad's authors, 288 x 384; or nyu_depth_v2_labeled.mat, shrunk to that size."""

    name: ClassVar[str] = "nyuv2"
    how_to_get: ClassVar[str] = (
        "Get the folder nyuv2 of MTAN's authors (github.com/lorenmt/mtan, with train/ and val/ of image, label, depth "
        "and normal as .npy), then: study data nyuv2 --root DIR. Or nyu_depth_v2_labeled.mat from "
        "cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html, then: study data nyuv2 --raw nyu_depth_v2_labeled.mat"
    )
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"depth": ("depths", "rawDepths")}
    raw_note: ClassVar[str] = "normals derived from depth by plane fits, no ground truth"

    def from_root(self, root: Path) -> Build:
        """What converts a tree with train and val; looks at which files it has first."""
        return partial(find_tree(root, MODALITIES).convert, "NYUv2")

    def from_raw(self, files: Sequence[Path], choices: Mapping[str, str]) -> Build:
        """What converts nyu_depth_v2_labeled.mat; looks at what it holds first."""
        if len(files) != 1:
            raise UserError(f"`--raw` must name one file, nyu_depth_v2_labeled.mat, found {len(files)}.")
        check_mat(files[0])
        return partial(convert_mat, files[0], choices["depth"])

    def inspect(self, root: Path) -> Inspection:
        """Counts, sizes, ranges, void markers, missing classes, and some of the samples."""
        return inspect_tree(root, MODALITIES, CLASSES, OFFICIAL, inverse=False)
