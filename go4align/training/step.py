"""One training step: losses in, gradients weighted, parameters moved."""

from torch import Tensor, no_grad
from torch.nn import Parameter
from torch.optim import Optimizer

from go4align.benchmarks.base import Batch, Benchmark, MultiTaskModel
from go4align.weighting.base import StepRecord, Weighting


def train_step(
    benchmark: Benchmark,
    model: MultiTaskModel,
    batch: Batch,
    weighting: Weighting,
    optimizer: Optimizer,
    shared_parameters: list[Parameter],
) -> tuple[Tensor, StepRecord]:
    """Take one step on `batch`; returns the detached losses [M] before the step and the weighting's record."""
    optimizer.zero_grad()
    representation = model.encode(batch)
    losses = benchmark.losses(model.decode(representation), batch)
    told = representation if weighting.uses_representation else None
    record = weighting.backward(losses, shared_parameters=shared_parameters, representation=told)
    optimizer.step()
    if weighting.needs_losses_after:
        with no_grad():
            weighting.after_step(benchmark.losses(model(batch), batch))
    return losses.detach(), record
