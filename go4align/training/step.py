"""One training step: losses in, gradients weighted, parameters moved."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn, no_grad
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from go4align.benchmarks.base import Batch, Benchmark
from go4align.models.base import MultiTaskModel, Representation
from go4align.training.precision import Float32, Precision
from go4align.training.skip import SkippableStep
from go4align.weighting._engine.base import StepRecord, Weighting


def train_step(
    benchmark: Benchmark,
    model: MultiTaskModel,
    batch: Batch,
    weighting: Weighting,
    optimizer: Optimizer,
    shared_parameters: list[nn.Parameter],
    *,
    precision: Precision = Float32(),  # noqa: B008 - immutable
    clip_norm: float | None = None,
) -> tuple[Tensor, StepRecord]:
    """Take one step on `batch`.

    A weighting that learns from the losses after the step (FAMO) gets those of the same batch, in the same precision.
    That second forward pass leaves BatchNorm's running statistics alone: they see each batch once, as with any other
    method. The official FAMO and GO4Align code moves them twice a step.

    Args:
        batch: on the model's device, augmented.
        shared_parameters: the parameters that all tasks share.
        precision: of the forward passes; the weighting sees float32 losses (or float64 ones as they are).
        clip_norm: the network's gradient is scaled down to this norm where its own is larger; None leaves it.

    Returns:
        The detached losses [M] before the step, and the weighting's record.
    """
    device = shared_parameters[0].device
    optimizer.zero_grad()
    step = SkippableStep(model, optimizer, weighting)
    with precision.around(device):
        representation = model.encode(batch)
        if weighting.uses_representation:
            representation = _apart(representation)
        losses = _at_least_float32(benchmark.losses(model.decode(representation), batch))
    told = representation if weighting.uses_representation else None
    labelled = benchmark.labelled(batch)
    record = weighting.backward(losses, shared_parameters=shared_parameters, representation=told, labelled=labelled)
    if clip_norm is not None:
        clip_grad_norm_(model.parameters(), clip_norm)
    with weighting.absent_kept(labelled):
        step.take(record.good)
    if weighting.needs_losses_after:
        with no_grad(), precision.around(device), _running_statistics_kept(model):
            losses_after = _at_least_float32(benchmark.losses(model(batch), batch))
        weighting.after_step(losses_after, labelled=labelled)
    step.end()
    return losses.detach(), record


def _apart(representation: Representation) -> Representation:
    """Several tensors as ones of which none is computed from another.

    Feature maps of a network usually are; what a loss tells of an early one by way of a later one would then count
    twice, once at each.
    """
    if isinstance(representation, Tensor):
        return representation
    return [tensor.view_as(tensor) for tensor in representation]


def _at_least_float32(losses: Tensor) -> Tensor:
    return losses.float() if losses.element_size() < 4 else losses


@contextmanager
def _running_statistics_kept(model: nn.Module) -> Iterator[None]:
    """Normalise by the batch, as in training, without moving the running statistics."""
    moving = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for module in moving:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in moving:
            module.track_running_stats = True
