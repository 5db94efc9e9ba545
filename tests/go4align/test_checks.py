"""Checks of hyperparameters: Python's numbers and numpy's alike."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from go4align import UserError, build_weighting
from go4align.checks import real_number, whole_number

INTS = (numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.uint8, numpy.uint64, numpy.intp)
FLOATS = (numpy.float16, numpy.float32, numpy.float64)


@given(st.integers(0, 100), st.sampled_from(INTS))
def test_whole_numbers_of_numpy_are_whole_numbers(value: int, kind: type) -> None:
    found = whole_number("n", kind(value), 0)
    assert found == value and type(found) is int
    assert type(real_number("x", kind(value))) is float


@given(st.floats(0, 1, width=16), st.sampled_from(FLOATS))
def test_real_numbers_of_numpy_are_real_numbers(value: float, kind: type) -> None:
    found = real_number("x", kind(value))
    assert found == value and type(found) is float


@pytest.mark.parametrize("found", [numpy.float64(2), numpy.bool_(True), numpy.int64(-1), numpy.array([1]), 1 + 0j])
def test_what_is_no_whole_number_is_refused(found: object) -> None:
    with pytest.raises(UserError, match="`n` must be a whole number of at least 0, found"):
        whole_number("n", found, 0)


@pytest.mark.parametrize("found", [numpy.float32("nan"), numpy.float64("inf"), numpy.bool_(True), 1 + 0j, "1"])
def test_what_is_no_finite_number_is_refused(found: object) -> None:
    with pytest.raises(UserError, match="`x` must be a finite number of at least 0, found"):
        real_number("x", found)


def test_methods_take_them() -> None:
    method = build_weighting("go4align", numpy.int64(3), n_groups=numpy.int64(2), beta=numpy.float32(1e-4))
    assert method.indicator.beta == pytest.approx(1e-4)
    assert build_weighting("dwa", numpy.int32(3), window=numpy.int64(5), temperature=numpy.float32(2)).n_tasks == 3
    assert build_weighting("stl", numpy.int64(3), task=numpy.uint8(2)).n_tasks == 3
