"""A step for some of the tasks: whatever is kept for each task is narrowed to those, and spread out again after it.

So a method sees the problem of the labelled tasks alone, and no method needs to know that there are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class PerTask(nn.Module):
    """A module of M tasks that can be one of some of them for a step.

    Attributes:
        per_task: buffers that hold something for each task, and along which dimension.
        renewed: buffers that a step off the host does not change: it puts another tensor in their place.
        kept_apart: buffers that need not be put back after a bad step.
    """

    per_task: ClassVar[Mapping[str, int]] = {}
    renewed: ClassVar[frozenset[str]] = frozenset()
    kept_apart: ClassVar[frozenset[str]] = frozenset()

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        """What attributes, and buffers that a step does not change, become for these tasks alone."""
        return {"n_tasks": len(tasks)}

    def gathered(self, name: str, whole: Tensor, tasks: Tensor) -> Tensor:
        """The part of a buffer that belongs to these tasks, a copy."""
        return whole.index_select(self.per_task[name], tasks)

    def spread(self, name: str, whole: Tensor, part: Tensor, tasks: Tensor) -> None:
        """Put it back into the whole."""
        whole.index_copy_(self.per_task[name], tasks, part)


@contextmanager
def narrowed(module: nn.Module, tasks: list[int]) -> Iterator[None]:
    """Let a module, and all in it, be one of these tasks alone; what changes in that time is put back where it belongs.

    Args:
        module: with parts that are `PerTask`.
        tasks: at least one, ascending.
    """
    parts = [_Part(part, tasks) for part in module.modules() if isinstance(part, PerTask)]
    try:
        yield
    finally:
        for part in parts:
            part.put_back()


class _Part:
    """One narrowed part."""

    def __init__(self, part: PerTask, tasks: list[int]) -> None:
        self._part = part
        self._whole = {name: part._buffers[name] for name in part.per_task}
        self._attributes: dict[str, Any] = {}
        for name, whole in self._whole.items():
            assert whole is not None
            self._tasks = torch.tensor(tasks, device=whole.device)
            part._buffers[name] = part.gathered(name, whole, self._tasks)
        for name, value in part.narrowed_attributes(tasks).items():
            self._attributes[name] = getattr(part, name)
            setattr(part, name, value)

    def put_back(self) -> None:
        for name, value in self._attributes.items():
            setattr(self._part, name, value)
        for name, whole in self._whole.items():
            part = self._part._buffers[name]
            assert whole is not None and part is not None
            self._part._buffers[name] = whole
            self._part.spread(name, whole, part, self._tasks)
