"""The epoch loop: train, validate, schedule, stop early; everything it needs to go on is in its state."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from go4align.benchmarks.base import Benchmark, Split
from go4align.errors import UserError
from go4align.metrics import Evaluation
from go4align.training.evaluation import evaluate
from go4align.training.networks import prepared_network
from go4align.training.options import TrainingOptions
from go4align.training.parts import Part
from go4align.training.records import EpochRecord, StepRecorder, StepSummary
from go4align.training.seeding import RunGenerators
from go4align.training.step import train_step
from go4align.training.watching import Monitor
from go4align.weighting._engine.base import Weighting


class Trainer:
    """Trains one model of a benchmark with one weighting.

    With `options.processes` every process of a torch.distributed group has a trainer of its own, made with equal
    arguments. All do the same but for their share of the batches, so that each can tell what all know.

    Args:
        benchmark: prepared data, model and losses.
        build: makes the weighting; called after seeding, so that a random initial state is reproducible.
        options: how to train.
        seed: seeds initialisation, shuffling and everything random; equal seeds give equal runs on one machine.
        monitor: maps a validation `Evaluation` to the value that selection watches (lower is better), see `monitor_of`.
        device: where to train; None (default) is torch's default device, the CPU unless it was set.
        test: whether the test split is read, when the selection rule says; nothing depends on what it gives.

    Raises:
        UserError: a process group of another size than `options.processes`, or fewer samples than a batch for it.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        build: Callable[[], Weighting],
        options: TrainingOptions,
        *,
        seed: int,
        monitor: Monitor,
        device: torch.device | str | None = None,
        test: bool = False,
    ) -> None:
        self.benchmark = benchmark
        self.options = options
        self.monitor = monitor
        self.device = torch.get_default_device() if device is None else torch.device(device)
        self.epoch = 0
        self.part = Part.of(options.processes)
        self._reads_test = test
        self._seed = seed
        self._random = RunGenerators(seed, self.device)
        if self.device.type != "cpu":
            benchmark.keep_on(self.device)
        self.model = prepared_network(benchmark.build_model().to(self.device), options)
        self.weighting = build().to(self.device)
        self.part.join(self.weighting, self.model)
        own = self.weighting.parameter_groups()
        self.optimizer = options.optimizer_rule.build(self.model.parameters(), own, options.lr)
        self._schedule = options.schedule_rule
        self._scheduler = self._schedule.build(
            self.optimizer, epochs=options.epochs, steps_per_epoch=self.steps_per_epoch
        )
        self._precision = options.precision_rule
        self.selected = options.selection_rule.begin(options.epochs)

    @property
    def steps_per_epoch(self) -> int:
        size = self.benchmark.size("train")
        if self.part.size == 1:
            return math.ceil(size / self.options.batch_size)
        if size < self.options.batch_size:
            raise UserError(
                f"A batch of {self.part.size} processes takes {self.options.batch_size} samples, found {size} to train "
                "on. Lower `batch_size` or `processes`."
            )
        return size // self.options.batch_size

    @property
    def finished(self) -> bool:
        patience = self.options.patience
        stale = patience is not None and self.selected.stale_epochs >= patience
        return self.epoch >= self.options.epochs or stale

    def epochs(self) -> Iterator[EpochRecord]:
        """Train epoch by epoch until the last one or early stopping; the caller may leave at any epoch."""
        while not self.finished:
            yield self.run_epoch()

    def run_epoch(self) -> EpochRecord:
        """Train for one epoch, validate, move the schedule, and select."""
        start = time.perf_counter()
        lr = self.optimizer.param_groups[0]["lr"]
        train = self._train()
        validation = self.evaluate("val")
        monitored = self.part.agreed(self.monitor(validation))
        self._schedule.after_epoch(self._scheduler, monitored)
        self.epoch += 1
        self.selected.update(monitored, validation, self.model)
        wall_s = time.perf_counter() - start
        if self._reads_test:
            self.selected.after_epoch(self.epoch, partial(self.evaluate, "test"))
        return EpochRecord(self.epoch, lr, wall_s, train, validation, monitored, self.selected.value)

    def _train(self) -> StepSummary:
        """One pass over the training split."""
        recorder = StepRecorder()
        shared = self.model.shared_parameters()
        self.model.train()
        if self.part.size > 1:
            self._random.draw_apart(self.part.seed(self._seed, self.epoch))
        share = self.options.batch_size // self.part.size
        batches = self.benchmark.batches("train", share, self._random.shuffle)
        for batch in self.part.own(batches, self.steps_per_epoch):
            batch = self.benchmark.augment(batch.to(self.device), self._random.augment)
            losses, record = train_step(
                self.benchmark,
                self.model,
                batch,
                self.weighting,
                self.optimizer,
                shared,
                precision=self._precision,
                clip_norm=self.options.clip_norm,
            )
            recorder.add(losses, record)
            self._schedule.after_step(self._scheduler)
        self.weighting.end_epoch()
        summary = recorder.summary()
        return replace(summary, losses=self.part.mean(summary.losses))

    def evaluate(self, split: Split) -> Evaluation:
        """Mean losses and metrics of the present model on a split, in float32 whatever the training's precision."""
        return evaluate(self.benchmark, self.model, split, self.options.batch_size)

    def test(self) -> Evaluation:
        """What the selection rule gives on the test split, at the end of a run that was made with `test=True`."""
        return self.selected.test(self.model, partial(self.evaluate, "test"))

    def state_dict(self) -> dict[str, Any]:
        """All that later epochs depend on; safe for `torch.load(weights_only=True)`."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "weighting": self.weighting.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "selected": self.selected.state_dict(),
            "random": self._random.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`, in a trainer of the same options."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.weighting.load_state_dict(state["weighting"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        self.selected.load_state_dict(state["selected"])
        self._random.load_state_dict(state["random"])
