"""Random numbers of a method: seeded or taken over from torch, the same on every device, and part of its state."""

from typing import Any

import torch

from go4align.checks import whole_number


class Draws:
    """A generator on the CPU: what draws from it names that device, whatever torch's default device is.

    Args:
        seed: None takes over the state that torch's global generator has when a number is first drawn, so that after
            `torch.manual_seed` draws are those of code that uses it; the global generator itself is not advanced.
    """

    def __init__(self, seed: int | None) -> None:
        self._generator: torch.Generator | None = None
        if seed is not None:
            self._generator = torch.Generator().manual_seed(whole_number("seed", seed, 0))

    def generator(self) -> torch.Generator:
        """The generator, to draw from."""
        if self._generator is None:
            self._generator = torch.Generator()
            self._generator.set_state(torch.get_rng_state())
        return self._generator

    def state(self) -> dict[str, Any]:
        """What `load` restores."""
        return {"generator": None if self._generator is None else self._generator.get_state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._generator = None
        if state["generator"] is not None:
            self._generator = torch.Generator()
            self._generator.set_state(state["generator"].cpu())
