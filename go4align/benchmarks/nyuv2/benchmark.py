"""NYUv2 as a benchmark: three tasks on pictures of rooms."""

from typing import ClassVar

from go4align.benchmarks.dense import tasks
from go4align.benchmarks.dense.benchmark import DenseBenchmark
from go4align.benchmarks.dense.pixels import Arrays
from go4align.benchmarks.nyuv2.source import CLASSES, NYUv2Source

PUBLISHED = {
    "segmentation": {"miou": 0.3830, "pixel_acc": 0.6376},
    "depth": {"abs_err": 0.6754, "rel_err": 0.2780},
    "normal": {
        "mean_deg": 25.01,
        "median_deg": 19.21,
        "within_11.25": 0.3014,
        "within_22.5": 0.5720,
        "within_30": 0.6915,
    },
}


class NYUv2(DenseBenchmark):
    """Semantic segmentation (13 classes), depth (metres) and surface normals of indoor pictures (Silberman et al.,
    ECCV 2012), prepared as by MTAN's authors (Liu et al., CVPR 2019): 795 pictures to train on, 654 to test.
    """

    name: ClassVar[str] = "nyuv2"
    published_source = tasks.PUBLISHED_SOURCE
    tasks = (
        tasks.segmentation(PUBLISHED["segmentation"]),
        tasks.depth("m", PUBLISHED["depth"]),
        tasks.normals(PUBLISHED["normal"]),
    )
    n_classes = len(CLASSES)
    outputs = (("classes", len(CLASSES)), ("value", 1), ("direction", 3))

    @classmethod
    def data_source(cls) -> NYUv2Source:
        return NYUv2Source()

    @staticmethod
    def generate(n: int, height: int, width: int, seed: int) -> Arrays:
        """Rooms that a camera sees, see `go4align.benchmarks.nyuv2.rooms`."""
        from go4align.benchmarks.nyuv2.rooms import rooms

        return rooms(n, height, width, seed)
