"""The clusterings by name."""

from go4align.checks import choice
from go4align.grouping.base import Grouping
from go4align.grouping.exact_kmeans import ExactKMeans
from go4align.grouping.kmeans_pytorch import KMeansPyTorch

CLUSTERINGS: dict[str, type[Grouping]] = {
    "exact": ExactKMeans,
    "kmeans_pytorch": KMeansPyTorch,
}


def build_grouping(
    clustering: str, n_tasks: int, n_groups: int | str = "auto", *, space: str = "linear", seed: int = 0
) -> Grouping:
    """Build a grouping by the name of its clustering; see `Grouping` for the arguments.

    Raises:
        UserError: an unknown name (the nearest one is suggested) or an argument out of range.
    """
    return choice("clustering", clustering, CLUSTERINGS)(n_tasks, n_groups, space=space, seed=seed)
