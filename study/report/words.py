"""Numbers and comparisons in words."""

import math
from collections.abc import Sequence

from study.analysis.intervals import MIN_SEEDS, Comparison, Interval

NO_NUMBER = "-"


def number(value: float | None, digits: int = 1) -> str:
    """With so many decimals; a dash for none."""
    return NO_NUMBER if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def interval(found: Interval, digits: int = 1) -> str:
    """A mean and its interval: "12.3 (10.1 to 14.2)"."""
    mean = number(found.mean, digits)
    return mean if math.isnan(found.low) else f"{mean} ({number(found.low, digits)} to {number(found.high, digits)})"


def verdict(found: Comparison, first: str, second: str, unit: str = "points of Δm") -> str:
    """A whole clause on the difference of two arms, lower is better."""
    outcome = found.outcome()
    if outcome == "identical":
        return f"{first} and {second} gave the same values with every seed: they are identical"
    size = number(abs(found.difference.mean))
    side = "below" if found.difference.mean < 0 else "above"
    span = ""
    if not math.isnan(found.difference.low):
        span = f" (95 % interval of the difference {number(found.difference.low)} to {number(found.difference.high)})"
    said = f"{first} is {size} {unit} {side} {second}{span}"
    if outcome == "too few seeds":
        n = found.difference.n
        return f"{said}; {seeds(n)} cannot decide that, at least {MIN_SEEDS} are needed"
    return f"{said}: {'undecided' if outcome == 'undecided' else 'decided'}"


def seeds(n: int) -> str:
    """ "one seed", "3 seeds"."""
    return "one seed" if n == 1 else f"{n} seeds"


def listed(names: Sequence[str], most: int = 6) -> str:
    """ "a, b and c"; of many, the first and how many more."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"
