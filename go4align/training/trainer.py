"""The epoch loop: train, validate, schedule, stop early; everything it needs to go on is in its state."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from go4align.benchmarks.base import Benchmark, Split
from go4align.training.options import TrainingOptions
from go4align.training.records import EpochRecord, Evaluation, StepRecorder
from go4align.training.seeding import generator_states, seed_everything, set_generator_states
from go4align.training.step import train_step
from go4align.weighting.base import Weighting

Monitor = Callable[[Evaluation], float]


class Trainer:
    """Trains one model of a benchmark with one weighting.

    Args:
        benchmark: prepared data, model and losses.
        build: makes the weighting; called after seeding, so that a random initial state is reproducible.
        options: how to train.
        seed: seeds initialisation, shuffling and everything random; equal seeds give equal runs on one machine.
        monitor: maps a validation `Evaluation` to the value that selection uses (lower is better).
        device: where to train.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        build: Callable[[], Weighting],
        options: TrainingOptions,
        *,
        seed: int,
        monitor: Monitor,
        device: torch.device | str = "cpu",
    ) -> None:
        self._shuffle = seed_everything(seed)
        self.benchmark, self.options, self.monitor, self.device = benchmark, options, monitor, torch.device(device)
        self.model = benchmark.build_model().to(self.device)
        self.weighting = build().to(self.device)
        groups = [{"params": list(self.model.parameters())}, *self.weighting.parameter_groups()]
        self.optimizer = Adam(groups, lr=options.lr)
        self.schedule = _schedule(self.optimizer, options, self.steps_per_epoch)
        self.epoch = 0
        self.best, self.best_epoch = math.inf, 0
        self._best_model = copy.deepcopy(self.model.state_dict())

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.benchmark.size("train") / self.options.batch_size)

    @property
    def finished(self) -> bool:
        patience = self.options.patience
        stale = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch >= self.options.epochs or stale

    def epochs(self) -> Iterator[EpochRecord]:
        """Train epoch by epoch until the last one or early stopping; the caller may leave at any epoch."""
        while not self.finished:
            yield self.run_epoch()

    def run_epoch(self) -> EpochRecord:
        """Train for one epoch, validate, and move the schedule."""
        start, lr, recorder = time.perf_counter(), self.optimizer.param_groups[0]["lr"], StepRecorder()
        shared = self.model.shared_parameters()
        self.model.train()
        for batch in self.benchmark.batches("train", self.options.batch_size, self._shuffle):
            batch = batch.to(self.device)
            recorder.add(*train_step(self.benchmark, self.model, batch, self.weighting, self.optimizer, shared))
            if isinstance(self.schedule, CosineAnnealingLR):
                self.schedule.step()
        self.weighting.end_epoch()
        validation = self.evaluate("val")
        monitored = self.monitor(validation)
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(monitored)
        self.epoch += 1
        if monitored < self.best:
            self.best, self.best_epoch = monitored, self.epoch
            self._best_model = copy.deepcopy(self.model.state_dict())
        wall_s = time.perf_counter() - start
        return EpochRecord(self.epoch, lr, wall_s, recorder.summary(), validation, monitored, self.best)

    @torch.no_grad()
    def evaluate(self, split: Split) -> Evaluation:
        """Mean losses and metrics of the present model on a split."""
        self.model.eval()
        accumulator, count = self.benchmark.accumulator(), 0
        total = torch.zeros(self.benchmark.n_tasks, dtype=torch.float64, device=self.device)
        size = self.benchmark.size(split)
        for batch in self.benchmark.batches(split, self.options.batch_size):
            n = min(self.options.batch_size, size - count)
            batch = batch.to(self.device)
            outputs = self.model(batch)
            total += n * self.benchmark.losses(outputs, batch).double()
            accumulator.update(outputs, batch)
            count += n
        return Evaluation(tuple((total / count).tolist()), accumulator.compute())

    def test(self) -> Evaluation:
        """Evaluate the epoch that was best on validation on the test split: once, at the end of a final run."""
        present = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self._best_model)
        evaluation = self.evaluate("test")
        self.model.load_state_dict(present)
        return evaluation

    def state_dict(self) -> dict[str, Any]:
        """All that later epochs depend on; safe for `torch.load(weights_only=True)`."""
        return {
            "model": self.model.state_dict(),
            "best_model": self._best_model,
            "optimizer": self.optimizer.state_dict(),
            "schedule": {} if self.schedule is None else self.schedule.state_dict(),
            "weighting": self.weighting.state_dict(),
            "random": generator_states(self._shuffle),
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._best_model = state["best_model"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.weighting.load_state_dict(state["weighting"])
        self.epoch, self.best, self.best_epoch = state["epoch"], state["best"], state["best_epoch"]
        set_generator_states(self._shuffle, state["random"])


def _schedule(optimizer: Adam, options: TrainingOptions, steps_per_epoch: int) -> LRScheduler | None:
    if options.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=options.epochs * steps_per_epoch)
    if options.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.7, patience=5, min_lr=1e-5)
    return None
