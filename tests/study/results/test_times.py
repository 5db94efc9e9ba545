"""What methods cost, from seconds that are known; and the table's way there and back."""

import pytest

from study.results.times import MethodTime, compared, read_times, times_csv

ROUNDS = [{"ls": 1.0, "famo": 2.0}, {"ls": 2.0, "famo": 3.0}, {"ls": 1.0, "famo": 1.8}]


def test_ratios_are_within_rounds_so_that_a_slow_moment_of_the_machine_cancels() -> None:
    ls, famo = compared(ROUNDS, {"ls": (100.0, None), "famo": (120.0, 8.0)})
    assert ls == MethodTime("ls", 1.0, 1.0, 1.0, 1.0, 3, 100.0, None, "ls")
    assert famo == MethodTime("famo", 2.0, 1.8, 1.5, 2.0, 3, 120.0, 8.0, "ls")


def test_without_a_plain_sum_the_quickest_is_what_all_are_relative_to() -> None:
    found = compared([{"uw": 2.0, "famo": 1.0}], {"uw": (None, None), "famo": (None, None)})
    assert [(one.method, one.ratio, one.against) for one in found] == [("famo", 1.0, "famo"), ("uw", 2.0, "famo")]


def test_the_table_is_read_as_it_was_written() -> None:
    times = compared(ROUNDS, {"ls": (100.5, None), "famo": (None, 8.25)})
    assert read_times(times_csv(times)) == times


@pytest.mark.parametrize("text", ["", "method,epoch_s\nls,1\n", times_csv([])])
def test_what_is_no_such_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must have the columns method, epoch_s"):
        read_times(text)
