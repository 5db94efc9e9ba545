"""A process that trains one configuration an epoch at a time, when it is told to: for measuring what methods cost."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from go4align.errors import RunFailedError
from study.spec.configuration import Configuration

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_SEED = 0


class Peaks(NamedTuple):
    """The most memory that the process took, MiB; None where that is not measured."""

    host_mib: float | None
    device_mib: float | None


class TimedTraining:
    """One configuration in a process of its own, which is idle but for the epochs that it is asked for.

    Use it in a `with` block; the process ends with it.

    Args:
        configuration: what is trained, early stopping left out.
        epochs: how many it will be asked for.
    """

    def __init__(self, configuration: Configuration, epochs: int) -> None:
        self._method = configuration.method.key
        training = replace(configuration.training, epochs=max(epochs, configuration.training.epochs), patience=None)
        timed = Configuration(benchmark=configuration.benchmark, method=configuration.method, training=training)
        context = multiprocessing.get_context("spawn")  # CUDA does not outlive a fork
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, timed.model_dump_json()), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> TimedTraining:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def epoch(self) -> float:
        """Train one epoch, validation included; its seconds.

        Raises:
            RunFailedError: the training failed.
        """
        return float(self._ask("epoch"))

    def peaks(self) -> Peaks:
        """The most memory so far.

        Raises:
            RunFailedError: the training failed.
        """
        return Peaks(*self._ask("peaks"))

    def _ask(self, what: str) -> Any:
        try:
            self._pipe.send(what)
            found = self._pipe.recv()
        except (EOFError, OSError):
            raise RunFailedError(
                f"The process that trains '{self._method}' died, perhaps for want of memory."
            ) from None
        if isinstance(found, str):
            raise RunFailedError(f"'{self._method}' cannot be timed: {found}")
        return found


def _serve(pipe: Connection, text: str) -> None:
    import torch

    from study.trials.alone import build_trainer
    from study.trials.memory import PeakMemory
    from study.trials.records import Trial

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    memory = PeakMemory(device)
    trainer = None
    with suppress(EOFError):  # nobody asks any more
        while True:
            asked = pipe.recv()
            try:
                if trainer is None:
                    trial = Trial("time", "search", Configuration.model_validate_json(text), _SEED)
                    trainer = build_trainer(trial, device)
                pipe.send(trainer.run_epoch().wall_s if asked == "epoch" else (memory.host_mib, memory.device_mib))
            except Exception as error:  # whatever goes wrong is told to who asks
                pipe.send(str(error).splitlines()[0] if str(error) else type(error).__name__)
