"""One module of TorchJD: its mistakes in one line, its random numbers seeded, its state taken out and put back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import zip_longest
from typing import Any, cast

import numpy
import torch
from torch import Tensor, nn
from torchjd import Stateful

from go4align.errors import UserError
from go4align.randomness import Draws
from go4align.weighting._torchjd.options import SIZES

State = dict[str, dict[str, Any]]
"""Of each part of a module, its attributes; all can be loaded with `torch.load(weights_only=True)`."""


class Wrapped:
    """A module of TorchJD, and how it is called.

    Args:
        name: for messages.
        kind: the class.
        arguments: that build it; every vector among them has an entry for each task.
        call: takes the module and its input; what a step asks for.
        example: an input for M tasks that any of these modules takes; one call tells whether the arguments fit.
        draws: the random numbers, None for a module that draws none.

    Raises:
        UserError: TorchJD refuses the arguments, or lacks a package.
    """

    def __init__(
        self,
        name: str,
        kind: type[nn.Module],
        arguments: Mapping[str, Any],
        call: Callable[[Any, Tensor], Tensor],
        example: Tensor,
        draws: Draws | None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.arguments = dict(arguments)
        self.draws = draws
        self._call = call
        self._example = example
        self._vectors = {key: value for key, value in arguments.items() if isinstance(value, Tensor)}
        with self._told(f"cannot be built for M = {len(example)} tasks", ""):
            self.module = cast(Any, kind(**arguments).to(device=example.device, dtype=torch.float64))
            self._try_out()
            if self.keeps_state:
                self.module.reset()

    @property
    def keeps_state(self) -> bool:
        """Whether a step depends on those before."""
        return issubclass(self.kind, Stateful)

    def __call__(self, given: Tensor) -> Tensor:
        """What TorchJD makes of losses [M], of a Gramian [M, M] or of gradients [M, D]."""
        self._go_to(given)
        with self.told(), self._drawing(given.device):
            return self._call(self.module, given)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever TorchJD or its solver raises in a step, in one line."""
        with self._told("could not take this step", " The weighting's state is unchanged: skip this batch."):
            yield

    def narrowed(self, tasks: Sequence[int]) -> Wrapped:
        """One of these tasks alone, for a module that keeps no state."""
        vectors = {key: vector[list(tasks)] for key, vector in self._vectors.items()}
        sizes = {key: len(tasks) for key in SIZES if key in self.arguments}
        given = {**self.arguments, **vectors, **sizes}
        example = self._example[(slice(len(tasks)),) * self._example.ndim]  # ones [M], or the unit matrix
        return Wrapped(self.name, self.kind, given, self._call, example, self.draws)

    def state(self) -> State:
        """A copy of all that a step changes."""
        if not self.keeps_state:
            return {}
        return {
            path: {key: _taken(value) for key, value in self._attributes(part) if _is_plain(value)}
            for path, part in self.module.named_modules()
        }

    def load(self, state: State, device: torch.device) -> None:
        """Go on where `state` was taken, with tensors on this device.

        A call comes first, since some parts (an optimiser, a program for a solver) are made by it.
        """
        if not state:
            return
        self._try_out()
        self.module.to(device)
        for path, attributes in state.items():
            part = self.module.get_submodule(path)
            for key, value in attributes.items():
                _put(part, key, value, device)

    def _try_out(self) -> None:
        with self._drawing(self._example.device, kept=False):
            self._call(self.module, self._example)
            if hasattr(self.module, "update"):
                self.module.update(self._example)

    def _go_to(self, given: Tensor) -> None:
        """Follow the input to its device, the vectors to its dtype, too."""
        for key, vector in self._vectors.items():
            there = getattr(self.module, key)
            if (there.device, there.dtype) != (given.device, given.dtype):
                setattr(self.module, key, vector.to(given))
        if any(parameter.device != given.device for parameter in self.module.parameters()):
            self.module.to(given.device)

    def _attributes(self, part: nn.Module) -> Iterator[tuple[str, Any]]:
        """All but what torch keeps in every module, and the arguments."""
        fixed = {*vars(nn.Module()), *self.arguments, *(f"_{key}" for key in self.arguments)}
        own = {**vars(part), **part._buffers, **part._parameters}
        return ((key, value) for key, value in own.items() if key not in fixed)

    @contextmanager
    def _drawing(self, device: torch.device, *, kept: bool = True) -> Iterator[None]:
        """Let torch's global generators, which TorchJD draws from, be the method's own for a call."""
        if self.draws is None:
            yield
            return
        accelerator = torch.accelerator.current_accelerator()
        away = accelerator is not None and device.type == accelerator.type
        with torch.random.fork_rng([device] if away else [], device_type=device.type if away else "cuda"):
            generator = self.draws.generator() if kept else torch.Generator()
            torch.set_rng_state(generator.get_state())
            if away:
                torch.get_device_module(device).manual_seed(int(torch.randint(2**62, (), device="cpu")))
            yield
            generator.set_state(torch.get_rng_state())

    def _on_its_device(self) -> AbstractContextManager[Any]:
        """Gramians are on the host; what TorchJD makes beside them must be, too, whatever torch's default device is."""
        device = self._example.device
        return nullcontext() if device.type == torch.get_default_device().type else device

    @contextmanager
    def _told(self, what: str, remedy: str) -> Iterator[None]:
        try:
            with self._on_its_device():
                yield
        except ImportError as error:
            command = "pip install" + str(error).rpartition("pip install")[2]
            raise UserError(f"'{self.name}' needs packages that TorchJD does not bring: {command}") from error
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # every solver has its own
            raise UserError(
                f"'{self.name}' {what}. TorchJD says: {str(error) or type(error).__name__}{remedy}"
            ) from error


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    kinds = (Tensor, numpy.ndarray, torch.optim.Optimizer, bool, int, float, torch.dtype, torch.device)
    return value is None or isinstance(value, kinds)


def _taken(value: Any) -> Any:
    """A copy, of tensors and numbers alone; a dtype is an empty tensor of it."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, numpy.ndarray):
        return torch.tensor(value, device="cpu")
    if isinstance(value, torch.optim.Optimizer):
        return copy.deepcopy(value.state_dict())
    if isinstance(value, torch.dtype):
        return torch.empty(0, dtype=value, device="cpu")
    if isinstance(value, tuple | list):
        return [_taken(one) for one in value]
    return None if isinstance(value, torch.device) else value


def _put(part: nn.Module, key: str, value: Any, device: torch.device) -> None:
    there = getattr(part, key)
    if isinstance(there, nn.Parameter):
        with torch.no_grad():
            there.copy_(value)
    elif isinstance(there, torch.optim.Optimizer) and value is not None:
        there.load_state_dict(copy.deepcopy(value))
    else:
        setattr(part, key, _given_back(value, there, device))


def _given_back(value: Any, there: Any, device: torch.device) -> Any:
    """A copy, since a step may change it in place; of the type of what is there."""
    if isinstance(there, torch.device):
        return device
    if isinstance(value, list):
        return type(there)(_given_back(one, two, device) for one, two in zip_longest(value, there[: len(value)]))
    if not isinstance(value, Tensor):
        return value
    if isinstance(there, torch.dtype):
        return value.dtype
    return value.cpu().numpy().copy() if isinstance(there, numpy.ndarray) else value.to(device, copy=True)
