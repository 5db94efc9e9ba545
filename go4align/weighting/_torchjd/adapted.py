"""What the weightings around TorchJD's modules share: building, narrowing to labelled tasks, and state."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from go4align.errors import UserError
from go4align.randomness import Draws
from go4align.weighting._engine.base import Weighting
from go4align.weighting._torchjd.catalogue import Facts
from go4align.weighting._torchjd.options import arguments, parameters
from go4align.weighting._torchjd.wrapped import Wrapped


class Method(NamedTuple):
    """One of TorchJD's methods: its name, its class, and what has to be known beside."""

    name: str
    kind: type[nn.Module]
    facts: Facts


class Adapted(Weighting):
    """A weighting around a module of TorchJD; `method` says which, in a subclass for each."""

    method: ClassVar[Method]
    is_indicator = False
    wrapped: Wrapped

    def _wrap(self, call: Callable[[Any, Tensor], Tensor], example: Tensor, seed: int | None, options: Any) -> Wrapped:
        draws = Draws(seed) if self.method.facts.draws else None
        defaults = {key: p.default for key, p in parameters(self.method.kind, self.method.facts.defaults).items()}
        given = arguments(self.method.kind, {**defaults, **options}, self.n_tasks)
        return Wrapped(self.method.name, self.method.kind, given, call, example, draws)

    def _present(self) -> Wrapped:
        """For the tasks that take part in the step."""
        if self.tasks is None:
            return self.wrapped
        if self.wrapped.keeps_state:
            raise UserError(
                f"'{self.method.name}' keeps state of all tasks together, so every batch must have labels of all, "
                "found one that has not. Use larger batches, or a method of our own (`study methods`)."
            )
        return self.wrapped.narrowed(self.tasks)

    @property
    def draws(self) -> Draws | None:
        """What `go4align.synchronise` makes alike on all ranks."""
        return self.wrapped.draws

    def get_extra_state(self) -> dict[str, Any]:
        draws = self.wrapped.draws
        return {"torchjd": self.wrapped.state(), "draws": None if draws is None else draws.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.wrapped.load(state["torchjd"], self._state_device)
        if self.wrapped.draws is not None:
            self.wrapped.draws.load(state["draws"])

    @property
    def _state_device(self) -> torch.device:
        return self._device
