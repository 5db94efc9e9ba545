"""Mixed precision: what methods decide in bfloat16 is what they decide in float32, to bfloat16's three digits."""

import pytest
import torch
from torch import Tensor

from go4align import available_methods, build_weighting
from go4align.benchmarks.toy import Toy
from go4align.training.precision import BFloat16, Float32, Precision

METHODS = [name for name in available_methods() if name != "stl"]
TOLERANCE = 0.1
"""Of a step's gradient, relative to its length, and of its weights. A plain sum's gradient is off by 3 %; MGDA's, in
which gradients cancel, by up to 6 %, and a weight of PCGrad, which asks for the sign of products, by up to 10 %."""


def step(method: str, precision: Precision, seed: int) -> tuple[Tensor, Tensor]:
    """The shared parameters' gradient of a step, and its weights."""
    benchmark = Toy(n_tasks=4, train_size=64)
    torch.manual_seed(seed)
    device = torch.get_default_device()
    model = benchmark.build_model().to(device)
    weighting = build_weighting(method, 4).to(device)
    batch = next(iter(benchmark.batches("train", 64))).to(device)
    with precision.around(device):
        losses = benchmark.losses(model.decode(model.encode(batch)), batch)
    torch.manual_seed(1)
    record = weighting.backward(losses.float(), shared_parameters=model.shared_parameters())
    gradients = [p.grad.flatten() for p in model.shared_parameters() if p.grad is not None]
    return torch.cat(gradients).double(), record.weights.double()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_a_step_in_bfloat16_is_that_in_float32(method: str, seed: int) -> None:
    whole, weights = step(method, Float32(), seed)
    mixed, mixed_weights = step(method, BFloat16(), seed)
    assert (mixed - whole).norm() < TOLERANCE * whole.norm()
    torch.testing.assert_close(mixed_weights, weights, rtol=TOLERANCE, atol=0.0)
