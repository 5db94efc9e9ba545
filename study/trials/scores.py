"""What an evaluation is worth: metrics under the names that studies use, and their changes against a reference."""

from collections.abc import Mapping

from go4align.benchmarks.base import Benchmark
from go4align.metrics import delta_m, median_change, relative_changes
from go4align.training import Evaluation

Metrics = dict[str, float]


def split_metrics(
    benchmark: Benchmark, split: str, evaluation: Evaluation, reference: Mapping[str, Metrics]
) -> Metrics:
    """Every metric and task loss by `split/task/metric`; with a reference Delta m, its median and the changes too."""
    named = {f"{split}/{key}": value for key, value in evaluation.metrics.items()}
    named |= {f"{split}/{task}/loss": loss for task, loss in zip(benchmark.task_names, evaluation.losses, strict=True)}
    if split in reference:
        changes = changes_against(benchmark, evaluation.metrics, reference[split])
        named |= {f"{split}/delta_m": delta_m(changes), f"{split}/median_change": median_change(changes)}
        named |= {f"{split}/{key}_change": change for key, change in changes.items()}
    return named


def changes_against(benchmark: Benchmark, metrics: Metrics, reference: Metrics) -> Metrics:
    """Relative change in percent per `task/metric`."""
    directions = {key: metric.higher_is_better for key, metric in benchmark.metrics().items()}
    return relative_changes(metrics, reference, directions)
