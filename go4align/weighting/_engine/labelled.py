"""Which tasks have labels in a batch, and losses that lead to those alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from go4align.errors import UserError
from go4align.weighting._engine.graph import roots_of

NO_GROUP = -1
"""The group of a task that took no part in a step."""


def labelled_tasks(labelled: Tensor | None, n_tasks: int) -> list[int] | None:
    """The tasks that have labels, ascending; None where all have.

    Raises:
        UserError: no bool tensor [M].
    """
    if labelled is None:
        return None
    if not isinstance(labelled, Tensor) or labelled.dtype != torch.bool or labelled.shape != (n_tasks,):
        found = f"{labelled.dtype} {tuple(labelled.shape)}" if isinstance(labelled, Tensor) else type(labelled).__name__
        raise UserError(
            f"`labelled` must be a bool tensor of shape ({n_tasks},), one entry per task; found {found}. Leave it out "
            "where every task has labels."
        )
    tasks = [task for task, there in enumerate(labelled.tolist()) if there]
    return None if len(tasks) == n_tasks else tasks


@contextmanager
def cut_off(losses: Tensor, tasks: list[int]) -> Iterator[Tensor]:
    """The losses [m] of these tasks, through which no gradient reaches what the others were computed from.

    Their cotangents are zero, and zero times what is not finite is not: so what `torch.stack` put together is taken
    apart again. Losses that are one tensor from the start must be finite for all tasks, or made so.
    """
    roots = roots_of(losses)
    hooks = [root.register_prehook(_nothing) for task, root in enumerate(roots) if task not in tasks]
    try:
        yield losses.index_select(0, torch.tensor(tasks, device=losses.device))
    finally:
        for hook in hooks:
            hook.remove()


def _nothing(gradients: tuple[Tensor, ...]) -> tuple[None, ...]:
    return (None,) * len(gradients)


def whole(part: Tensor, tasks: list[int], n_tasks: int, missing: int = 0) -> Tensor:
    """[M], from what there is for these tasks, `missing` for the others."""
    found = torch.full((n_tasks,), missing, dtype=part.dtype, device=part.device)
    found[torch.tensor(tasks, device=part.device)] = part
    return found
