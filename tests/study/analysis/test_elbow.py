"""The bend of curves that have a known one."""

import pandas as pd
import pytest

from study.analysis.elbow import elbow


@pytest.mark.parametrize(
    ("values", "bend"),
    [
        ([10.0, 2.0, 1.8, 1.6, 1.5], 2),
        ([10.0, 9.5, 9.0, 1.0, 0.9], 4),
        ([100.0, 40.0, 10.0, 9.0, 8.5], 3),
    ],
)
def test_the_elbow_is_where_the_fall_ends(values: list[float], bend: int) -> None:
    k = pd.Series(range(1, 6))
    assert elbow(k, pd.Series(values)) == bend
    assert elbow(k, pd.Series(values) * 1000 - 7) == bend, "whatever the unit"


def test_a_line_has_no_elbow_but_one_of_its_points() -> None:
    assert elbow(pd.Series([1, 2, 3]), pd.Series([3.0, 2.0, 1.0])) in {1, 2, 3}
    assert elbow(pd.Series([1, 2]), pd.Series([5.0, 5.0])) in {1, 2}
