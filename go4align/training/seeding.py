"""Random states: seeding a run, and carrying its generators across a checkpoint."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seed every global generator, and return an own generator for shuffling."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - packages that we call still draw from the global generator
    torch.manual_seed(seed)  # CUDA's generators too
    return torch.Generator().manual_seed(seed)


def generator_states(shuffle: torch.Generator) -> dict[str, Any]:
    """The states of torch's global generators and of the shuffling one."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "shuffle": shuffle.get_state()}


def set_generator_states(shuffle: torch.Generator, states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    shuffle.set_state(states["shuffle"])
