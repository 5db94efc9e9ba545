"""The tasks of dense benchmarks, with the published single-task values.

Those are of a plain SegNet, trained on one task by CAGrad's script (Liu et al., NeurIPS 2021), over batches' means, and
at the end of training without a validation split; the networks with several tasks have attention beside it.
"""

from collections.abc import Mapping

from go4align.benchmarks.base import Task
from go4align.metrics import normals as angles
from go4align.metrics import segmentation as classes
from go4align.metrics.depth import depth_metrics

PUBLISHED_SOURCE = (
    "CAGrad's single-task runs (Liu et al. 2021), quoted by Nash-MTL, FAMO and GO4Align: a plain SegNet for one task, "
    "not MTAN; depth and angles are means over batches"
)


def segmentation(published: Mapping[str, float]) -> Task:
    """Mean intersection over union and pixel accuracy, shares."""
    return Task("segmentation", classes.METRICS, published)


def depth(unit: str, published: Mapping[str, float]) -> Task:
    """Absolute error in a unit, and the error relative to the depth, a share."""
    return Task("depth", depth_metrics(unit), published)


def normals(published: Mapping[str, float]) -> Task:
    """Angles in degrees, and the shares of pixels within the published thresholds."""
    return Task("normal", angles.METRICS, published)
