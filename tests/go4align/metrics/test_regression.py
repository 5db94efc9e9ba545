"""Mean absolute errors of a pass against scikit-learn, whatever the batches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from devices import here
from sklearn.metrics import mean_absolute_error, mean_squared_error

from go4align.metrics import MeanAbsoluteErrors


def squares(outputs: torch.Tensor, batch: SimpleNamespace) -> torch.Tensor:
    return (outputs - batch.targets).square().mean(0)


@pytest.mark.parametrize("size", [1, 7, 64, 100])
def test_losses_and_errors_are_those_of_the_whole_pass(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = here(torch.randn(2, 100, 3, generator=generator, device="cpu"))
    factor = torch.tensor([1.0, 1000.0, 0.5], dtype=torch.float64)
    accumulator = MeanAbsoluteErrors(["a", "b", "c"], squares, factor=factor)
    for start in range(0, 100, size):
        part = slice(start, start + size)
        accumulator.update(outputs[part], SimpleNamespace(targets=targets[part]))
    found = accumulator.compute()
    outputs, targets = outputs.cpu(), targets.cpu()
    expected = mean_absolute_error(targets, outputs, multioutput="raw_values") * factor.cpu().numpy()
    np.testing.assert_allclose([found.metrics[f"{task}/mae"] for task in "abc"], expected, rtol=1e-6)
    np.testing.assert_allclose(found.losses, mean_squared_error(targets, outputs, multioutput="raw_values"), rtol=1e-6)
