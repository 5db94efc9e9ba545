"""Which trainings the tables hold: every cell is a configuration and a seed of a preset."""

import json
from collections.abc import Mapping, Sequence
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


Levels = Mapping[str, Sequence[Any]]

_QM9_LRS = (3e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2e-2)
_TOY_LRS = (1e-3, 2e-3, 4e-3, 8e-3, 1.5e-2, 3e-2, 6e-2, 1e-1)
FACTORIALS: Mapping[str, Mapping[str, Levels]] = {
    "qm9-demo": {
        "ls": {"lr": _QM9_LRS},
        "go4align": {
            "lr": _QM9_LRS,
            "beta": (1e-9, 1e-7, 1e-5, 1e-3),
            "n_groups": (2, 5, 11, "auto"),
            "space": ("linear", "log"),
        },
        "famo": {"lr": _QM9_LRS[1:], "weights_lr": (2.5e-3, 2.5e-2, 1e-1), "weight_decay": (1e-5, 1e-2)},
        "nash_mtl": {"lr": _QM9_LRS[1:]},
    },
    "toy": {
        "ls": {"lr": _TOY_LRS},
        "go4align": {
            "lr": _TOY_LRS,
            "beta": (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
            "n_groups": (2, 3, 4, 5, 6, "auto"),
            "space": ("linear", "log"),
        },
        "famo": {"lr": _TOY_LRS, "weights_lr": (1e-3, 5e-3, 2.5e-2, 1e-1), "weight_decay": (1e-5, 1e-3, 1e-2)},
    },
}
"""The levels of every method's hyperparameters, all of whose combinations are trained."""

PAPERS_GRIDS: Mapping[str, Levels] = {
    "qm9-demo": {"lr": (2.5e-3, 5e-3, 1e-2), "beta": (1e-7,), "n_groups": range(1, 12), "space": ("log",)},
    "toy": {"lr": (4e-3, 8e-3, 1.5e-2), "beta": (1e-7,), "n_groups": range(1, 7), "space": ("log",)},
}
"""GO4Align as the paper tunes it: three learning rates x every K."""


def cells(preset: str) -> list[Cell]:
    """Of a preset's table, each once."""
    found: dict[str, Cell] = {}
    for seed in SEEDS:
        for method, levels in [*FACTORIALS[preset].items(), ("go4align", PAPERS_GRIDS[preset])]:
            for values in product(*levels.values()):
                cell = Cell(method, dict(zip(levels, values, strict=True)), seed)
                found.setdefault(cell.key, cell)
    return list(found.values())
