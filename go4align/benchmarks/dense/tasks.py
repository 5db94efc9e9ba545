"""The tasks of dense benchmarks, with the published single-task values.

Those are of a plain SegNet, trained on one task by CAGrad's script (Liu et al., NeurIPS 2021), over batches' means, and
at the end of training without a validation split; the networks with several tasks have attention beside it.
"""

from collections.abc import Mapping

from go4align.benchmarks.base import Metric, Task
from go4align.metrics.normals import WITHIN_DEG

PUBLISHED_SOURCE = (
    "CAGrad's single-task runs (Liu et al. 2021), quoted by Nash-MTL, FAMO and GO4Align: a plain SegNet for one task, "
    "not MTAN; depth and angles are means over batches"
)

SEGMENTATION = (Metric("miou", higher_is_better=True), Metric("pixel_acc", higher_is_better=True))
NORMALS = (
    Metric("mean_deg", "deg"),
    Metric("median_deg", "deg"),
    *(Metric(f"within_{limit:g}", higher_is_better=True) for limit in WITHIN_DEG),
)


def segmentation(published: Mapping[str, float]) -> Task:
    """Mean intersection over union and pixel accuracy, shares."""
    return Task("segmentation", SEGMENTATION, published)


def depth(unit: str, published: Mapping[str, float]) -> Task:
    """Absolute error in a unit, and the error relative to the depth, a share."""
    return Task("depth", (Metric("abs_err", unit), Metric("rel_err")), published)


def normals(published: Mapping[str, float]) -> Task:
    """Angles in degrees, and the shares of pixels within the published thresholds."""
    return Task("normal", NORMALS, published)
