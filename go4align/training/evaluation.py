"""A network on a split of a benchmark's data."""

import torch

from go4align.benchmarks.base import Benchmark, Split
from go4align.metrics import Evaluation
from go4align.models.base import MultiTaskModel


@torch.no_grad()
def evaluate(benchmark: Benchmark, model: MultiTaskModel, split: Split, batch_size: int) -> Evaluation:
    """Mean losses and metrics of a network on a split, in float32 and on the network's device.

    Args:
        benchmark: prepared.
        model: its network; it is left in the mode, training or not, that it is in.
        split: of the data.
        batch_size: samples at a time. Metrics that are means over batches, of dense benchmarks with `batch_mean`,
            depend on it.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    accumulator = benchmark.accumulator()
    for batch in benchmark.batches(split, batch_size):
        batch = batch.to(device)
        accumulator.update(model(batch), batch)
    model.train(training)
    return accumulator.compute()
