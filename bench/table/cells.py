"""Which trainings the tables hold: every cell is a configuration and a seed of a preset."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

SEEDS = (11, 12)
"""Not those of any study."""


@dataclass(frozen=True)
class Cell:
    """One training: a method, its hyperparameters with `lr` among them, and a seed."""

    method: str
    hyperparameters: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """Alike for the same training, whatever table it is in."""
        return json.dumps([self.method, dict(sorted(self.hyperparameters.items())), self.seed])


def cells(preset: str) -> list[Cell]:
    """Of a preset's table, each once."""
    found = {cell.key: cell for seed in SEEDS for cell in _GRIDS[preset](seed)}
    return list(found.values())


def _qm9(seed: int) -> Iterator[Cell]:
    lrs = (3e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2e-2)
    yield from _full("ls", seed, lr=lrs)
    yield from _full(
        "go4align", seed, lr=lrs, beta=(1e-9, 1e-7, 1e-5, 1e-3), n_groups=(2, 5, 11, "auto"), space=("linear", "log")
    )
    yield from _full("famo", seed, lr=lrs[1:], weights_lr=(2.5e-3, 2.5e-2, 1e-1), weight_decay=(1e-5, 1e-2))
    yield from _full("go4align", seed, lr=(2.5e-3, 5e-3, 1e-2), beta=(1e-7,), n_groups=range(1, 12), space=("log",))
    yield from _full("nash_mtl", seed, lr=lrs[1:])


def _toy(seed: int) -> Iterator[Cell]:
    lrs = (1e-3, 2e-3, 4e-3, 8e-3, 1.5e-2, 3e-2, 6e-2, 1e-1)
    groups = (1, 2, 3, 4, 5, 6, "auto")
    betas = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
    yield from _full("ls", seed, lr=lrs)
    yield from _full("go4align", seed, lr=lrs, beta=betas, n_groups=groups, space=("linear", "log"))
    yield from _full("famo", seed, lr=lrs, weights_lr=(1e-3, 5e-3, 2.5e-2, 1e-1), weight_decay=(1e-5, 1e-3, 1e-2))


_GRIDS = {"qm9-demo": _qm9, "toy": _toy}


def _full(method: str, seed: int, **levels: Any) -> Iterator[Cell]:
    """Every combination of the levels."""
    for values in product(*levels.values()):
        yield Cell(method, dict(zip(levels, values, strict=True)), seed)
