"""A network on a split of a benchmark's data."""

from go4align.benchmarks.base import Benchmark, Split
from go4align.metrics import Evaluation
from go4align.models.base import MultiTaskModel, evaluating


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
    accumulator = benchmark.accumulator()
    with evaluating(model):
        for batch in benchmark.batches(split, batch_size):
            batch = batch.to(device)
            accumulator.update(model(batch), batch)
    return accumulator.compute()
