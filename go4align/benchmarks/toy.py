"""Synthetic regression tasks of very different scales: seconds on a CPU, for tests, docs and fault drills."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from go4align.benchmarks.base import Benchmark, Split, Task
from go4align.checks import real_number, whole_number
from go4align.errors import UserError
from go4align.metrics import MeanAbsoluteErrors, Metric
from go4align.models.base import MultiTaskModel, infer
from go4align.transfer import moved


@dataclass(frozen=True)
class ToyBatch:
    """Inputs [B, 8] and targets [B, M], NaN where a sample has none of a task."""

    inputs: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "ToyBatch":
        return ToyBatch(moved(self.inputs, device), moved(self.targets, device))


class Toy(Benchmark):
    """M noisy random functions of 8 inputs; the target of task m has scale 10^(4 m / (M-1) - 2), so 1e-2 .. 1e2.

    Args:
        n_tasks: number of tasks M.
        train_size, val_size, test_size: samples per split.
        width: hidden units of the network.
        data_seed: seeds functions, inputs and noise.
        missing: share of the training targets that are missing: the samples are labelled in part.
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
        missing: float = 0.0,
        pause_s: float = 0.0,
    ) -> None:
        self._sizes: dict[Split, int] = {"train": train_size, "val": val_size, "test": test_size}
        whole_number("n_tasks", n_tasks, 1, 1000)
        whole_number("width", width, 1, 4096)
        for split, size in self._sizes.items():
            whole_number(f"{split}_size", size, 1, 100_000)
        self.tasks = tuple(Task(f"task{m}", (Metric("mae"),)) for m in range(n_tasks))
        self._width = width
        self._data_seed = whole_number("data_seed", data_seed, 0)
        self._missing = real_number("missing", missing, high=0.99)
        self._pause_s = real_number("pause_s", pause_s, high=3600)

    def prepare(self) -> None:
        """Make the data, in milliseconds."""
        _ = self._data

    def size(self, split: Split) -> int:
        return self._sizes[split]

    def build_model(self) -> MultiTaskModel:
        return ToyModel(self.n_tasks, self._width)

    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[ToyBatch]:
        if split == "train":
            time.sleep(self._pause_s)
        data = self._data[split]
        size = self.size(split)
        order = torch.arange(size, device="cpu")
        if generator is not None:
            order = torch.randperm(size, generator=generator, device="cpu")
        for chosen in order.split(batch_size):
            yield ToyBatch(data.inputs[chosen], data.targets[chosen])

    def losses(self, outputs: Tensor, batch: ToyBatch) -> Tensor:
        """Mean squared errors [M], over the samples that have a target; 0 where none has."""
        if not self._missing:
            return (outputs - batch.targets).square().mean(0)
        there = ~batch.targets.isnan()
        errors = torch.where(there, outputs - batch.targets.nan_to_num(), 0.0)
        return errors.square().sum(0) / there.sum(0).clamp(min=1)

    def labelled(self, batch: ToyBatch) -> Tensor | None:
        return (~batch.targets.isnan()).any(0) if self._missing else None

    def accumulator(self) -> MeanAbsoluteErrors:
        return MeanAbsoluteErrors(self.task_names, self.losses, batch_dtype=torch.float32)

    def predict(self, model: MultiTaskModel, samples: Tensor) -> dict[str, Tensor]:
        """Every task's value [B] for inputs [B, 8]."""
        if samples.ndim != 2 or samples.shape[1] != 8:
            raise UserError(f"New samples of toy must be inputs [B, 8], found {list(samples.shape)}.")
        nothing = torch.empty(len(samples), self.n_tasks)
        outputs = infer(model, ToyBatch(samples, nothing))
        return dict(zip(self.task_names, outputs.unbind(1), strict=True))

    @cached_property
    def _data(self) -> dict[Split, ToyBatch]:
        with torch.device("cpu"):
            return self._made()

    def _made(self) -> dict[Split, ToyBatch]:
        generator = torch.Generator().manual_seed(self._data_seed)
        hidden = torch.randn(8, 16, generator=generator)
        readout = torch.randn(16, self.n_tasks, generator=generator)
        scales = torch.logspace(-2, 2, self.n_tasks) if self.n_tasks > 1 else torch.ones(1)
        data: dict[Split, ToyBatch] = {}
        for split, size in self._sizes.items():
            inputs = torch.randn(size, 8, generator=generator)
            clean = torch.tanh(inputs @ hidden / 8**0.5) @ readout / 4
            noise = 0.1 * torch.randn(clean.shape, generator=generator)
            targets = scales * (clean + noise)
            if split == "train" and self._missing:
                targets[torch.rand(targets.shape, generator=generator) < self._missing] = torch.nan
            data[split] = ToyBatch(inputs, targets)
        return data


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
