"""The part that a process has in a training of several, each of which takes its share of every batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from go4align.distributed import synchronise
from go4align.errors import UserError

if TYPE_CHECKING:
    from go4align.benchmarks.base import Batch
    from go4align.models.base import MultiTaskModel
    from go4align.weighting._engine.base import Weighting


@dataclass(frozen=True)
class Part:
    """Which of how many processes this one is."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of(cls, processes: int) -> Part:
        """This process's part in a training of so many.

        Raises:
            UserError: torch's process group has another number.
        """
        if processes == 1:
            return cls()
        found = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if found != processes:
            raise UserError(
                f"A training with `processes` = {processes} needs a torch.distributed group of {processes}, found "
                f"{found}. Start it by `study`, or by torchrun."
            )
        return cls(dist.get_rank(), found)

    def join(self, weighting: Weighting, model: MultiTaskModel) -> None:
        """Begin alike, and from then on take every step together."""
        if self.size > 1:
            synchronise(weighting, model)

    def own(self, batches: Iterable[Batch], steps: int) -> Iterator[Batch]:
        """This process's batch of every step.

        Args:
            batches: of all processes, one after the other for every step, alike in all of them.
            steps: how many steps there are; what is left over then has no batch for every process.
        """
        if self.size == 1:
            yield from batches
            return
        for number, batch in enumerate(batches):
            if number >= steps * self.size:
                return
            if number % self.size == self.rank:
                yield batch

    def agreed(self, value: float) -> float:
        """The first process's value: where processors round otherwise, all decide by it."""
        if self.size == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def mean(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Means over the processes."""
        if self.size == 1:
            return values
        told: list[tuple[float, ...]] = [()] * self.size
        dist.all_gather_object(told, values)
        return tuple(sum(column) / self.size for column in zip(*told, strict=True))

    def seed(self, seed: int, epoch: int) -> int:
        """Of what a process draws by itself in an epoch, such as augmentations of its samples."""
        mixed = torch.Generator().manual_seed(seed)
        first = int(torch.randint(2**62, (), generator=mixed, device="cpu"))
        return (first + epoch * self.size + self.rank) % 2**63
