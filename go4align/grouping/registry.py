"""The clusterings by name. A new one is one file and one line here.

Another package registers its class under the entry point group `go4align.groupings`; see docs/own-parts.md.
"""

import inspect
from typing import Any

from go4align.entry_points import EntryPoints
from go4align.errors import unknown_name
from go4align.grouping.base import Grouping, Space
from go4align.grouping.exact_kmeans import ExactKMeans
from go4align.grouping.given import Given, NoGrouping
from go4align.grouping.gradient_affinity import GradientAffinity
from go4align.grouping.kmeans_pytorch import KMeansPyTorch
from go4align.grouping.sdp import SemidefiniteKMeans
from go4align.grouping.spectral import Spectral

CLUSTERINGS: dict[str, type[Grouping]] = {
    "exact": ExactKMeans,
    "kmeans_pytorch": KMeansPyTorch,
    "spectral": Spectral,
    "sdp": SemidefiniteKMeans,
    "gradient_affinity": GradientAffinity,
    "given": Given,
    "none": NoGrouping,
}
_OTHERS = EntryPoints("clustering", "go4align.groupings", own=CLUSTERINGS)
_COMMON = ("n_tasks", "n_groups", "space", "seed")


def available_clusterings() -> tuple[str, ...]:
    """The names that `build_grouping` knows, those of other packages last."""
    return (*CLUSTERINGS, *_OTHERS.names())


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
        UserError: an unknown name or option (the nearest one is suggested), an argument out of range, or a clustering
            of another package that cannot be imported, or that two packages claim.
    """
    grouping = _clustering(clustering)
    known = [name for name in inspect.signature(grouping).parameters if name not in _COMMON]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of clustering '{clustering}'", option, known)
    return grouping(n_tasks, n_groups, space=space, seed=seed, **options)


def _clustering(name: object) -> type[Grouping]:
    if not isinstance(name, str) or name not in available_clusterings():
        raise unknown_name("clustering", name, available_clusterings())
    entry = _OTHERS.find(name)
    return CLUSTERINGS[name] if entry is None else _OTHERS.load(entry, Grouping)  # type: ignore[type-abstract]
