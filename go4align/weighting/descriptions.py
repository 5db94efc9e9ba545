"""What a method is, in a line: what it weighs, what a step costs, and where it is from."""

import re
import sys
from typing import Literal, NamedTuple

from go4align.weighting._engine.base import Weighting
from go4align.weighting._engine.gradient_weighting import GradientWeighting
from go4align.weighting._torchjd.adapted import Adapted
from go4align.weighting.registry import class_of

_LINK = re.compile(r"`([^`<]+?)\s*<https?://[^>]+>`_")


class Description(NamedTuple):
    """Of one method.

    Attributes:
        kind: what it combines.
        cost: of a step, in words.
        source: what it is, and the paper.
    """

    kind: Literal["losses", "gradients"]
    cost: str
    source: str


def describe(name: str) -> Description:
    """Describe a method of this library or of TorchJD.

    Raises:
        UserError: an unknown name.
    """
    method = class_of(name)
    source = _of_torchjd(method) if issubclass(method, Adapted) else _of_ours(method)
    if issubclass(method, GradientWeighting):
        return Description("gradients", "a backward pass per task", source)
    second = ", a second forward pass" if method.needs_losses_after else ""
    return Description("losses", f"one backward pass{second}", source)


def _of_ours(method: type[Weighting]) -> str:
    """The first two paragraphs of a module: a title, and a paper that does not fit into it."""
    text = sys.modules[method.__module__].__doc__ or ""
    return " ".join(" ".join(text.split("\n\n")[:2]).split())


def _of_torchjd(method: type[Adapted]) -> str:
    """The title of the first link of a class, which is the paper of those that have one."""
    link = _LINK.search(" ".join((method.__doc__ or "").split()))
    if link is None:
        return f"{method.__name__}, of TorchJD"
    return link[1] if link[1].startswith(method.__name__) else f"{method.__name__}: {link[1]}"
