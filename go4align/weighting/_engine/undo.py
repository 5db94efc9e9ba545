"""Taking a step back where it was bad, without asking the device whether it was, or where an error ended it."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Place: TypeAlias = tuple[dict[str, Tensor | None], str]


class Undo:
    """Copies of tensors before a step that changes them in place.

    Args:
        tensors: on one device.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = [tensor.detach() if tensor.requires_grad else tensor for tensor in tensors]
        self._before = [tensor.clone() for tensor in self._tensors]

    def unless(self, good: Tensor) -> None:
        """Give every tensor its earlier content, bit for bit, unless `good`, a bool scalar there; nothing waits."""
        for tensor, before in zip(self._tensors, self._before, strict=True):
            torch.where(good, tensor, before, out=tensor)

    def all(self) -> None:
        """Give every tensor its earlier content, bit for bit."""
        for tensor, before in zip(self._tensors, self._before, strict=True):
            tensor.copy_(before)


class State:
    """The state of a module whose parts stay: buffers, and what draws random numbers. Finding the parts takes time.

    Args:
        module: whose buffers change in place, and whose other state is its extra state (`nn.Module.get_extra_state`).
    """

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        self._buffers = [part._buffers for part in parts]  # another device puts other tensors in
        self._renewed = [(part._buffers, name) for part in parts for name in _names(part, "renewed")]
        apart = [_names(part, "renewed") | _names(part, "kept_apart") for part in parts]
        self._in_place = [
            (part._buffers, name)
            for part, others in zip(parts, apart, strict=True)
            for name in part._buffers.keys() - others
        ]
        self.drawing = [part for part in parts if type(part).get_extra_state is not nn.Module.get_extra_state]

    def buffers(self) -> list[Tensor]:
        """Tensors that change in place."""
        return [buffer for buffers in self._buffers for buffer in buffers.values() if buffer is not None]

    def renewed(self) -> "list[tuple[dict[str, Tensor | None], str, Tensor | None]]":
        """Where the tensors are that a step may put others in the place of, and those that are there now."""
        return [(buffers, name, buffers[name]) for buffers, name in self._renewed]

    def undo(self) -> "UndoOnDevice":
        """How to take back, on the device, the step that comes."""
        return UndoOnDevice(self._in_place, self._renewed)


def _names(part: nn.Module, attribute: str) -> frozenset[str]:
    """See `PerTask`."""
    names: frozenset[str] = getattr(part, attribute, frozenset())
    return names


class UndoOnDevice:
    """`Undo` of a whole state: what changes in place is copied before, and what is renewed takes its new content.

    Args:
        in_place: buffers, by the mapping that they are in and their name there.
        renewed: likewise, those that get another tensor in their place, so that no copy is needed.
    """

    def __init__(self, in_place: Iterable[Place], renewed: Iterable[Place]) -> None:
        self._undo = Undo(buffer for buffers, name in in_place if (buffer := buffers[name]) is not None)
        self._before = [(buffers, name, buffers[name]) for buffers, name in renewed]

    def unless(self, good: Tensor) -> None:
        """Keep the state before the step, bit for bit, unless `good`, a bool scalar there; nothing waits."""
        self._undo.unless(good)
        for buffers, name, before in self._before:
            after = buffers[name]
            if after is not None and before is not None and after is not before:
                torch.where(good, after, before, out=before)
                buffers[name] = before


class Unchanged:
    """A context that an error leaves with a module's state as it was."""

    def __init__(self, state: State) -> None:
        self._undo = Undo(state.buffers())
        self._renewed = state.renewed()
        self._drawing = [(part, part.get_extra_state()) for part in state.drawing]

    def __enter__(self) -> None:
        """Nothing: the copies are made before."""

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            for buffers, name, before in self._renewed:
                buffers[name] = before
            self._undo.all()
            for part, state in self._drawing:
                part.set_extra_state(state)


class UnchangedGradients:
    """A context that an error leaves with `.grad` of every tensor as it was.

    Args:
        tensors: leaves of the graph. A `.grad` that is there is copied; usually none is.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._before = [(tensor, tensor.grad) for tensor in tensors]
        self._undo = Undo(grad for _, grad in self._before if grad is not None)

    def __enter__(self) -> None:
        """Nothing: the copies are made before."""

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            self.put_back()

    def put_back(self) -> None:
        """Give every tensor the `.grad` that it had."""
        self._undo.all()
        for tensor, grad in self._before:
            tensor.grad = grad
