"""Synthetic regression tasks of very different scales: seconds on a CPU, for tests, docs and fault drills."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from go4align.benchmarks.base import Benchmark, Metric, Split, Task
from go4align.checks import real_number, whole_number
from go4align.models.base import MultiTaskModel


@dataclass(frozen=True)
class ToyBatch:
    """Inputs [B, 8] and targets [B, M]."""

    inputs: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "ToyBatch":
        return ToyBatch(self.inputs.to(device), self.targets.to(device))


class Toy(Benchmark):
    """M noisy random functions of 8 inputs; the target of task m has scale 10^(4 m / (M-1) - 2), so 1e-2 .. 1e2.

    Args:
        n_tasks: number of tasks M.
        train_size, val_size, test_size: samples per split.
        width: hidden units of the network.
        data_seed: seeds functions, inputs and noise.
        pause_s: seconds that every epoch sleeps, as if a GPU were at work: a cluster is rehearsed without one.
    """

    name: ClassVar[str] = "toy"

    def __init__(
        self,
        *,
        n_tasks: int = 6,
        train_size: int = 512,
        val_size: int = 256,
        test_size: int = 256,
        width: int = 32,
        data_seed: int = 0,
        pause_s: float = 0.0,
    ) -> None:
        sizes: dict[Split, int] = {"train": train_size, "val": val_size, "test": test_size}
        whole_number("n_tasks", n_tasks, 1, 1000)
        whole_number("width", width, 1, 4096)
        for split, size in sizes.items():
            whole_number(f"{split}_size", size, 1, 100_000)
        whole_number("data_seed", data_seed, 0)
        self.tasks = tuple(Task(f"task{m}", "mse", (Metric("mae"),)) for m in range(n_tasks))
        self._width, self._pause_s = width, real_number("pause_s", pause_s, high=3600)
        self._data: dict[Split, ToyBatch] = {}
        generator = torch.Generator().manual_seed(data_seed)
        teacher = [torch.randn(8, 16, generator=generator), torch.randn(16, n_tasks, generator=generator)]
        scales = torch.logspace(-2, 2, n_tasks) if n_tasks > 1 else torch.ones(1)
        for split, size in sizes.items():
            inputs = torch.randn(size, 8, generator=generator)
            clean = torch.tanh(inputs @ teacher[0] / 8**0.5) @ teacher[1] / 4
            noise = 0.1 * torch.randn(clean.shape, generator=generator)
            self._data[split] = ToyBatch(inputs, scales * (clean + noise))

    def size(self, split: Split) -> int:
        return len(self._data[split].inputs)

    def build_model(self) -> MultiTaskModel:
        return ToyModel(self.n_tasks, self._width)

    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[ToyBatch]:
        if split == "train":
            time.sleep(self._pause_s)
        data, size = self._data[split], self.size(split)
        order = torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
        for chosen in order.split(batch_size):
            yield ToyBatch(data.inputs[chosen], data.targets[chosen])

    def losses(self, outputs: Tensor, batch: ToyBatch) -> Tensor:
        """Mean squared errors [M]."""
        return (outputs - batch.targets).square().mean(0)

    def accumulator(self) -> "MeanAbsoluteError":
        return MeanAbsoluteError(self.task_names)


class ToyModel(MultiTaskModel):
    """Two shared layers and a linear head per task."""

    def __init__(self, n_tasks: int, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.heads = nn.Linear(width, n_tasks)

    def encode(self, batch: ToyBatch) -> Tensor:
        """Hidden units [B, width]."""
        hidden: Tensor = self.trunk(batch.inputs)
        return hidden

    def decode(self, representation: Tensor) -> Tensor:
        """Predictions [B, M] from hidden units [B, width]."""
        predictions: Tensor = self.heads(representation)
        return predictions

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


class MeanAbsoluteError:
    """Streaming mean absolute error per task, for outputs and `batch.targets` of shape [B, M]."""

    def __init__(self, task_names: tuple[str, ...]) -> None:
        self._names, self._sum, self._count = task_names, torch.zeros(len(task_names), dtype=torch.float64), 0

    def update(self, outputs: Tensor, batch: ToyBatch) -> None:
        self._sum += (outputs - batch.targets).abs().sum(0).double().cpu()
        self._count += len(outputs)

    def compute(self) -> dict[str, float]:
        return {
            f"{name}/mae": value for name, value in zip(self._names, (self._sum / self._count).tolist(), strict=True)
        }
