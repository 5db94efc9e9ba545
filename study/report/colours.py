"""Colours that people of any colour vision tell apart, on light and on dark."""

from collections.abc import Sequence

CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
"""Okabe and Ito (2008), with a brown for their yellow and a grey for their black, so that each shows on both."""

DASHES = ("solid", "dash", "dot", "dashdot")
"""Plotly's names: the next dash begins where the colours begin anew, so that 32 lines differ."""

GOOD_TO_BAD = ("#0072B2", "#9AA5AD", "#E69F00")
"""Of lines, from a low score to a high one."""

BETTER_TO_WORSE = ("#2166AC", "#67A9CF", "#D1E5F0", "#F7F7F7", "#FDDBC7", "#EF8A62", "#B2182B")
"""Of changes, parting at zero (Brewer's RdBu)."""

SEQUENTIAL = "Cividis"
"""Of amounts, from dark to light."""


def stops(colours: Sequence[str]) -> list[list[float | str]]:
    """Evenly spaced, as plotly takes them."""
    return [[i / (len(colours) - 1), one] for i, one in enumerate(colours)]


def between(colours: Sequence[str], place: float) -> str:
    """The colour at a place of a scale, from 0 to 1."""
    at = min(max(place, 0.0), 1.0) * (len(colours) - 1)
    left = min(int(at), len(colours) - 2)
    parts = [[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in colours[left : left + 2]]
    mixed = (round(a + (b - a) * (at - left)) for a, b in zip(*parts, strict=True))
    return "#{:02X}{:02X}{:02X}".format(*mixed)


def colour(i: int) -> str:
    """Of the i-th of several things."""
    return CYCLE[i % len(CYCLE)]


def dash(i: int) -> str:
    """Of the i-th of several lines."""
    return DASHES[i // len(CYCLE) % len(DASHES)]
