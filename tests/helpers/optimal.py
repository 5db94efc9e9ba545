"""Optimal K-means by brute force in rational numbers, and vectors that are hard for K-means."""

from fractions import Fraction
from itertools import combinations

from hypothesis import strategies as st

spread = st.floats(-12, 12).map(lambda exponent: 10.0**exponent)
near_ties = st.builds(lambda base, step: base * (1 + step * 1e-9), st.sampled_from([1.0, 1e4, 3e8]), st.integers(0, 9))
ties = st.sampled_from([0.1, 0.3, 0.7])
vectors = st.one_of(*(st.lists(values, min_size=1, max_size=8) for values in (spread, near_ties, ties)))


def within(values: list[float], labels: list[int]) -> Fraction:
    """The exact within-group sum of squares."""
    total = Fraction(0)
    for label in set(labels):
        group = [Fraction(v) for v, own in zip(values, labels, strict=True) if own == label]
        mean = sum(group) / len(group)
        total += sum((v - mean) ** 2 for v in group)
    return total


def best(values: list[float], n_groups: int) -> Fraction:
    """The least within-group sum over all splits of the sorted values."""
    values = sorted(values)
    splits = combinations(range(1, len(values)), n_groups - 1)
    return min(within(values, [sum(i >= s for s in split) for i in range(len(values))]) for split in splits)
