"""Augmentation: on the training batches alone, seeded, seen alike by both forward passes, resumed in mid-stream."""

import io
from functools import partial
from typing import Any

import torch
from devices import here

from go4align import build_weighting
from go4align.benchmarks.toy import Toy, ToyBatch
from go4align.training import Trainer, TrainingOptions, monitor_of


class Noisy(Toy):
    """Adds noise to the inputs, and notes what its losses are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[torch.Tensor] = []
        self.seen: list[torch.Tensor] = []

    def augment(self, batch: ToyBatch, generator: torch.Generator) -> ToyBatch:
        noise = torch.randn(batch.inputs.shape, generator=generator, device=batch.inputs.device)
        self.drawn.append(noise)
        return ToyBatch(batch.inputs + 0.1 * noise, batch.targets)

    def losses(self, outputs: torch.Tensor, batch: ToyBatch) -> torch.Tensor:
        self.seen.append(batch.inputs)
        return super().losses(outputs, batch)


def trainer(benchmark: Toy, *, seed: int = 0) -> Trainer:
    build = partial(build_weighting, "famo", n_tasks=6)
    options = TrainingOptions(epochs=4, batch_size=64, lr=1e-2)
    return Trainer(benchmark, build, options, seed=seed, monitor=monitor_of("loss", benchmark))


def test_only_training_batches_are_augmented_and_the_losses_after_a_step_see_the_same_one() -> None:
    noisy = Noisy()
    run = trainer(noisy)
    run.run_epoch()
    steps = run.steps_per_epoch
    assert len(noisy.drawn) == steps
    before, after = noisy.seen[: 2 * steps : 2], noisy.seen[1 : 2 * steps : 2]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert torch.equal(
        torch.cat(noisy.seen[2 * steps :]), here(torch.cat([b.inputs for b in noisy.batches("val", 64)]))
    )


def test_augmentation_is_seeded_by_the_run_and_not_by_what_shuffles() -> None:
    first, again, other = Noisy(), Noisy(), Noisy()
    for benchmark, seed in ((first, 0), (again, 0), (other, 1)):
        trainer(benchmark, seed=seed).run_epoch()
    assert all(map(torch.equal, first.drawn, again.drawn))
    assert not torch.equal(first.drawn[0], other.drawn[0])
    other_generator = torch.Generator(first.drawn[0].device).manual_seed(0)
    assert not torch.equal(first.drawn[0], torch.randn(64, 8, generator=other_generator))


def test_a_resumed_run_draws_on_bit_for_bit() -> None:
    def rest(run: Trainer) -> list[Any]:
        return [record.val for record in run.epochs()]

    whole = trainer(Noisy())
    expected = rest(whole)
    half = trainer(Noisy())
    half.run_epoch()
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = trainer(Noisy(), seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert rest(resumed) == expected[1:]
    assert all(map(torch.equal, resumed.model.parameters(), whole.model.parameters()))


def test_a_benchmark_without_augmentation_trains_as_if_there_were_no_such_thing() -> None:
    toy = Toy()
    batch = next(toy.batches("train", 8))
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert toy.augment(batch, generator) is batch
    assert torch.equal(generator.get_state(), before)
