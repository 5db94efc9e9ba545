"""The public contract checks find real faults, each by the check that is there for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from go4align.benchmarks.toy import Toy, ToyBatch, ToyModel
from go4align.testing import BENCHMARK_CHECKS, BrokenContractError, check_benchmark

pytestmark = pytest.mark.cpu_only("the checks train on the CPU")


class Small(Toy):
    """Of the same name; a variant that is trained in a moment."""

    @classmethod
    def small(cls) -> "Small":
        return cls(n_tasks=3, train_size=96, val_size=24, test_size=20, width=8)


class ReadsFiles(Small):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        with open("/proc/self/status") as file:  # noqa: PTH123 - as a careless author would
            file.read(1)


class ComputesInTheConstructor(Small):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        torch.zeros(3)


class NeedsAnOption(Small):
    def __init__(self, *, needed: int) -> None:
        super().__init__()


class WatchesNothing(Small):
    protocol = type(Toy.protocol)(selection={"name": "best", "metric": "accuracy"})


class LosesABatch(Small):
    def batches(self, split: Any, batch_size: int, generator: torch.Generator | None = None) -> Any:
        yield from list(super().batches(split, batch_size, generator))[:-1]


class IgnoresTheGenerator(Small):
    def batches(self, split: Any, batch_size: int, generator: torch.Generator | None = None) -> Any:
        return super().batches(split, batch_size, None)


class ReadsTrainingForAll(Small):
    def batches(self, split: Any, batch_size: int, generator: torch.Generator | None = None) -> Any:
        data, size = self._data["train"], self.size(split)
        order = torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
        for at in order.split(batch_size):
            yield ToyBatch(data.inputs[at], data.targets[at])


class AugmentsWithGlobalRandomness(Small):
    def augment(self, batch: ToyBatch, generator: torch.Generator) -> ToyBatch:
        return ToyBatch(batch.inputs + torch.randn_like(batch.inputs), batch.targets)


class AugmentsInPlace(Small):
    def augment(self, batch: ToyBatch, generator: torch.Generator) -> ToyBatch:
        batch.inputs.mul_(2)
        return batch


class OneLossTooFew(Small):
    def losses(self, outputs: torch.Tensor, batch: ToyBatch) -> torch.Tensor:
        return super().losses(outputs, batch)[:-1]


class LossesAreNaN(Small):
    def losses(self, outputs: torch.Tensor, batch: ToyBatch) -> torch.Tensor:
        return super().losses(outputs, batch) * torch.nan


class DetachedLosses(Small):
    def losses(self, outputs: torch.Tensor, batch: ToyBatch) -> torch.Tensor:
        return super().losses(outputs, batch).detach()


class Bypass(ToyModel):
    def decode(self, representation: torch.Tensor) -> torch.Tensor:
        return super().decode(representation) + self.trunk[0].weight.sum()


class PassesTheRepresentationBy(Small):
    def build_model(self) -> ToyModel:
        return Bypass(self.n_tasks, 8)


class MetricsOfOtherNames(Small):
    def accumulator(self) -> Any:
        made = super().accumulator()
        made._names = tuple(f"{name}s" for name in made._names)
        return made


class MeansOfBatches(Small):
    def accumulator(self) -> Any:
        made = super().accumulator()
        update = made._losses.update
        made._losses.update = lambda values, counts: update(values, 1)
        return made


class RandomModel(Small):
    def build_model(self) -> ToyModel:
        model = super().build_model()
        with torch.no_grad():
            model.heads.bias.fill_(float(np.random.default_rng().normal()))
        return model


FAULTS: dict[type[Toy], str] = {
    ReadsFiles: "constructor_only_checks_options",
    ComputesInTheConstructor: "constructor_only_checks_options",
    NeedsAnOption: "every_option_has_a_default",
    LosesABatch: "splits_are_covered_once",
    IgnoresTheGenerator: "splits_are_covered_once",
    ReadsTrainingForAll: "splits_are_covered_once",
    AugmentsWithGlobalRandomness: "augmentation_is_seeded_and_not_in_place",
    AugmentsInPlace: "augmentation_is_seeded_and_not_in_place",
    OneLossTooFew: "losses_are_one_per_task",
    LossesAreNaN: "losses_are_one_per_task",
    DetachedLosses: "losses_are_one_per_task",
    PassesTheRepresentationBy: "representation_is_the_only_way",
    MetricsOfOtherNames: "accumulator_owns_the_means",
    MeansOfBatches: "accumulator_owns_the_means",
    RandomModel: "runs_repeat_and_resume",
}


def test_a_benchmark_without_faults_passes() -> None:
    check_benchmark(Small)


@pytest.mark.parametrize("broken", FAULTS)
def test_every_fault_is_found_by_its_check(broken: type[Toy]) -> None:
    check: Callable[[type[Toy]], None] = BENCHMARK_CHECKS[FAULTS[broken]]  # type: ignore[assignment]
    with pytest.raises(BrokenContractError, match="A benchmark's contract requires .*; found "):
        check(broken)


def test_a_selection_of_a_metric_that_there_is_not_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'accuracy'.*Known: delta_m, loss, mae"):
        BENCHMARK_CHECKS["protocol_can_be_trained"](WatchesNothing)
