"""Means over a pass: parts weigh by what they are means of, tasks that a part lacks add nothing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from go4align.metrics import Means

values = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(values, min_size=1, max_size=9), min_size=1, max_size=9))
def test_parts_of_any_size_pool_to_the_mean_of_all(parts: list[list[float]]) -> None:
    means = Means(1)
    for part in parts:
        means.update(torch.tensor([np.mean(part)]), len(part))
    assert means.compute().item() == pytest.approx(np.mean(np.concatenate(parts)), rel=1e-9, abs=1e-6)


@given(st.lists(st.lists(st.none() | values, min_size=3, max_size=3), min_size=1, max_size=20), st.integers(1, 7))
def test_partially_labelled_samples_are_averaged_over_those_that_have_the_task(
    samples: list[list[float | None]], size: int
) -> None:
    """Rows are samples, None where a task has no label; a batch's mean of no labels is NaN, as a network's would be."""
    table = np.array([[math.nan if value is None else value for value in row] for row in samples])
    means = Means(3)
    for start in range(0, len(table), size):
        batch = torch.from_numpy(table[start : start + size])
        labelled = batch.isfinite()
        means.update(batch.nanmean(0), labelled.sum(0))
    found = means.compute().tolist()
    for task, mean in enumerate(found):
        column = table[np.isfinite(table[:, task]), task]
        if len(column):
            assert mean == pytest.approx(column.mean(), rel=1e-9, abs=1e-6)
        else:
            assert math.isnan(mean)


def test_values_attached_to_a_graph_are_let_go() -> None:
    means = Means(1)
    means.update(torch.ones(1, requires_grad=True), 3)
    assert not means.compute().requires_grad
