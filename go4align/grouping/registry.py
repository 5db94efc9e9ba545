"""The clusterings by name. A new one is one file and one line here."""

import inspect
from typing import Any

from go4align.checks import choice
from go4align.errors import unknown_name
from go4align.grouping.base import Grouping, Space
from go4align.grouping.exact_kmeans import ExactKMeans
from go4align.grouping.given import Given, NoGrouping
from go4align.grouping.kmeans_pytorch import KMeansPyTorch
from go4align.grouping.sdp import SemidefiniteKMeans
from go4align.grouping.spectral import Spectral

CLUSTERINGS: dict[str, type[Grouping]] = {
    "exact": ExactKMeans,
    "kmeans_pytorch": KMeansPyTorch,
    "spectral": Spectral,
    "sdp": SemidefiniteKMeans,
    "given": Given,
    "none": NoGrouping,
}
_COMMON = ("n_tasks", "n_groups", "space", "seed")


def build_grouping(
    clustering: str,
    n_tasks: int,
    n_groups: int | str = "auto",
    *,
    space: Space = "linear",
    seed: int = 0,
    **options: Any,
) -> Grouping:
    """Build a grouping by the name of its clustering; see `Grouping` for the arguments.

    Raises:
        UserError: an unknown name or option (the nearest one is suggested) or an argument out of range.
    """
    grouping = choice("clustering", clustering, CLUSTERINGS)
    known = [name for name in inspect.signature(grouping).parameters if name not in _COMMON]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of clustering '{clustering}'", option, known)
    return grouping(n_tasks, n_groups, space=space, seed=seed, **options)
