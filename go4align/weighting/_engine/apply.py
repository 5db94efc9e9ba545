"""The gradient of the weighted losses into `.grad`, for weights that are chosen without looking at gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from go4align.weighting._engine.finite import all_finite, is_finite, norms_on_device
from go4align.weighting._engine.graph import leaves, task_leaves
from go4align.weighting._engine.ranks import Ranks
from go4align.weighting._engine.retained import in_double, largest_part
from go4align.weighting._engine.undo import UnchangedGradients


class NotFinite(Exception):  # noqa: N818 - says what was found, for who knows the task's name
    """A weighted gradient is not finite, and `.grad` is as it was.

    Args:
        task: whose part in it is the largest.
        dtype: of the parameter.
    """

    def __init__(self, task: int, dtype: torch.dtype) -> None:
        super().__init__(task, dtype)
        self.task = task
        self.dtype = dtype


def accumulate(losses: Tensor, weights: Tensor, ranks: Ranks) -> None:
    """Add the gradient of sum(w L) to `.grad` of all leaves, where the host may look at values.

    Args:
        losses: [M], attached to the graph, which is freed.
        weights: [M] in the losses' dtype, or in float64 where that does not hold them (`held`): then there is one
            backward pass for each task.
        ranks: whose mean gradient it is.

    Raises:
        NotFinite: what would be written is not finite, on whatever rank.
        UserError: several passes, where a hook sees one.
    """
    inputs = leaves([losses])
    parameters = ranks.reached(inputs)
    with UnchangedGradients(parameters):
        if weights.dtype == losses.dtype:
            losses.backward(weights)
            ranks.average_gradients()
            bad = _not_finite(parameters)
            if bad:
                raise NotFinite(_blamed(losses, bad, weights), bad[0].dtype)
            return
        ranks.refuse_passes(losses.dtype)
        for leaf, gradient in zip(inputs, in_double(losses, inputs, weights), strict=True):
            narrow = gradient.to(leaf.dtype)
            leaf.grad = narrow if leaf.grad is None else leaf.grad + narrow
        ranks.average_gradients()
        bad = _not_finite(parameters)
        if bad:
            raise NotFinite(largest_part(losses, bad, weights), bad[0].dtype)


def accumulate_on_device(losses: Tensor, weights: Tensor, ranks: Ranks) -> list[Tensor]:
    """As `accumulate`, but nothing waits for the device: returns `norms_on_device` of what was written there."""
    losses.backward(weights)
    ranks.average_gradients()
    reached = ranks.reached(leaves([losses]))
    written = [leaf.grad for leaf in reached if leaf.grad is not None and leaf.grad.device == losses.device]
    return norms_on_device(written)


def _not_finite(parameters: Sequence[Tensor]) -> list[Tensor]:
    written = [(leaf, leaf.grad) for leaf in parameters if leaf.grad is not None]
    if all_finite(grad for _, grad in written):
        return []
    return [leaf for leaf, grad in written if not is_finite(grad)]


def _blamed(losses: Tensor, bad: Sequence[Tensor], weights: Tensor) -> int:
    """The task of a gradient that is not finite, when the graph's tensors are gone.

    A parameter of one task alone tells whose it is; else it is the task with the largest part of sum(w L).
    """
    parts = (weights.double() * losses.detach().double()).abs()
    of_tasks = [{id(leaf) for leaf in found} for found in task_leaves(losses)]
    for leaf in bad:
        reached = [task for task, known in enumerate(of_tasks) if id(leaf) in known]
        if len(reached) == 1:
            return reached[0]
    return int(parts.argmax())
