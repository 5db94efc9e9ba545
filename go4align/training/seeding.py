"""Random states: seeding a run, and carrying its generators across a checkpoint."""

import random
from typing import Any

import numpy as np
import torch

_AUGMENTATION = 0x9E3779B97F4A7C15
"""Parts the seed of augmentation from that of shuffling: equal seeds would give both the same numbers."""


class RunGenerators:
    """The generators of one run: torch's global ones, one for shuffling, and one on the device for augmentation.

    Making it seeds every global generator.

    Args:
        seed: of everything.
        device: where batches are augmented.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - packages that we call still draw from the global generator
        torch.manual_seed(seed)  # CUDA's generators too
        self.shuffle = torch.Generator().manual_seed(seed)
        self.augment = torch.Generator(device).manual_seed((seed + _AUGMENTATION) % 2**63)

    def draw_apart(self, seed: int) -> None:
        """Seed anew what must differ between processes that train together: all but the shuffling."""
        torch.manual_seed(seed)
        self.augment.manual_seed((seed + _AUGMENTATION) % 2**63)

    def state_dict(self) -> dict[str, Any]:
        """All states."""
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "shuffle": self.shuffle.get_state(),
            "augment": {self.augment.device.type: self.augment.get_state()},
        }

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Undo `state_dict`. States of another kind of device are passed over: it draws other numbers anyway."""
        torch.set_rng_state(states["torch"])
        if states["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(states["cuda"])
        self.shuffle.set_state(states["shuffle"])
        if (state := states["augment"].get(self.augment.device.type)) is not None:
            self.augment.set_state(state)
