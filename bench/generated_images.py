"""Generated images of the true sizes: NYUv2 and CityScapes with MTAN, CelebA with its network; no scene is in them.

A split's samples are the same few images over and over, so that no time is spent on making them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from go4align.benchmarks.base import Benchmark, Split, Task
from go4align.directions import unit
from go4align.metrics.depth import valid_depth
from go4align.metrics.evaluation import Evaluation, Metric
from go4align.metrics.means import Means
from go4align.metrics.normals import valid_normal
from go4align.models.attributes import AttributeNetwork
from go4align.models.base import MultiTaskModel
from go4align.models.mtan import MTAN

VOID = -1
LOSS = Metric("loss")


@dataclass(frozen=True)
class Images:
    """Images [B, 3, H, W] and a target for each output of the network."""

    images: Tensor
    targets: tuple[Tensor, ...]

    def to(self, device: torch.device) -> "Images":
        return Images(self.images.to(device), tuple(target.to(device) for target in self.targets))


class MeanLosses:
    """An accumulator of the losses alone."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._means = Means(benchmark.n_tasks)

    def update(self, outputs: Any, batch: Images) -> None:
        self._means.update(self._benchmark.losses(outputs, batch), len(batch.images))

    def compute(self) -> Evaluation:
        losses = tuple(self._means.compute().tolist())
        names = self._benchmark.task_names
        return Evaluation(losses, {f"{name}/loss": loss for name, loss in zip(names, losses, strict=True)})


class GeneratedImages(Benchmark):
    """What the three benchmarks have in common.

    Args:
        train_size, val_size, test_size: of the splits.
        height, width: of the images.
        network_width: factor of the network's channels.
    """

    names: tuple[str, ...]

    def __init__(
        self, train_size: int, val_size: int, test_size: int, height: int, width: int, network_width: float = 1.0
    ) -> None:
        self._sizes = {"train": train_size, "val": val_size, "test": test_size}
        self._shape = (height, width)
        self._network_width = network_width
        self.tasks = tuple(Task(name, metrics=(LOSS,)) for name in self.names)

    def size(self, split: Split) -> int:
        return self._sizes[split]

    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Images]:
        whole = self.batch(batch_size)
        for start in range(0, self.size(split), batch_size):
            count = min(batch_size, self.size(split) - start)
            yield Images(whole.images[:count], tuple(target[:count] for target in whole.targets))

    def batch(self, count: int) -> Images:
        """A batch on the host; equal calls give equal batches."""
        generator = torch.Generator().manual_seed(0)
        with torch.device("cpu"):
            images = torch.rand(count, 3, *self._shape, generator=generator)
            return Images(images, self.targets(count, generator))

    def targets(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def accumulator(self) -> MeanLosses:
        return MeanLosses(self)


class GeneratedNYUv2(GeneratedImages):
    """13 classes, depth, and surface normals; a tenth of the pixels is without."""

    name = "generated_nyuv2"
    names = ("segmentation", "depth", "normal")
    classes = 13

    def build_model(self) -> MultiTaskModel:
        outputs = (("classes", self.classes), ("value", 1), ("direction", 3))[: self.n_tasks]
        return MTAN(outputs, self._network_width)  # type: ignore[arg-type]

    def targets(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        shape = self._shape
        labels = torch.randint(VOID, self.classes, (count, *shape), generator=generator)
        there = torch.rand(count, 1, *shape, generator=generator) > 0.1
        depth = there * (1 + 9 * torch.rand(count, 1, *shape, generator=generator))
        normals = there * unit(torch.randn(count, 3, *shape, generator=generator))
        return (labels, depth, normals)[: self.n_tasks]

    def losses(self, outputs: Any, batch: Images) -> Tensor:
        labels, depth, *normals = batch.targets
        losses = [F.nll_loss(outputs[0], labels, ignore_index=VOID), masked_mean(absolute(outputs[1], depth), depth)]
        for target in normals:
            valid = valid_normal(target)
            cosine = (outputs[2] * target).sum(1, keepdim=True)
            losses.append(1 - (cosine * valid).sum() / valid.sum().clamp(min=1))
        return torch.stack(losses)


def absolute(found: Tensor, depth: Tensor) -> Tensor:
    return (found - depth).abs()


def masked_mean(values: Tensor, depth: Tensor) -> Tensor:
    valid = valid_depth(depth)
    return (values * valid).sum() / valid.sum().clamp(min=1)


class GeneratedCityScapes(GeneratedNYUv2):
    """7 classes and depth."""

    name = "generated_cityscapes"
    names = ("segmentation", "depth")
    classes = 7


class GeneratedCelebA(GeneratedImages):
    """40 yes-or-no attributes."""

    name = "generated_celeba"
    names = tuple(f"attribute {number}" for number in range(40))

    def build_model(self) -> MultiTaskModel:
        return AttributeNetwork(self.n_tasks, self._network_width)

    def targets(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randint(0, 2, (count, self.n_tasks), generator=generator).float(),)

    def losses(self, outputs: Tensor, batch: Images) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, batch.targets[0], reduction="none").mean(0)
