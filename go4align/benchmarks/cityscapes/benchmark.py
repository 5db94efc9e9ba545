"""CityScapes as a benchmark: two tasks on pictures of streets."""

from typing import ClassVar

from go4align.benchmarks.cityscapes.source import CLASSES, CityScapesSource
from go4align.benchmarks.dense import tasks
from go4align.benchmarks.dense.benchmark import DenseBenchmark
from go4align.benchmarks.dense.pixels import Arrays

PUBLISHED = {
    "segmentation": {"miou": 0.7401, "pixel_acc": 0.9316},
    "depth": {"abs_err": 0.0125, "rel_err": 27.77},
}


class CityScapes(DenseBenchmark):
    """Semantic segmentation (7 classes) and inverse depth of street pictures (Cordts et al., CVPR 2016), prepared as by
    MTAN's authors (Liu et al., CVPR 2019): 2,975 pictures to train on, 500 to test.

    What papers call depth here is inverse depth, disparity / 65,535: it grows as things come nearer.
    """

    name: ClassVar[str] = "cityscapes"
    published_source = tasks.PUBLISHED_SOURCE
    tasks = (tasks.segmentation(PUBLISHED["segmentation"]), tasks.depth("1/65535 px", PUBLISHED["depth"]))
    n_classes = len(CLASSES)
    outputs = (("classes", len(CLASSES)), ("value", 1))
    inverse_depth = True

    @classmethod
    def data_source(cls) -> CityScapesSource:
        return CityScapesSource()

    @staticmethod
    def generate(n: int, height: int, width: int, seed: int) -> Arrays:
        """Streets that a camera sees, see `go4align.benchmarks.cityscapes.streets`."""
        from go4align.benchmarks.cityscapes.streets import streets

        return streets(n, height, width, seed)
