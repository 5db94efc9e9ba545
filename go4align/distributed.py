"""Training in several processes, each with its part of every batch: all take the step of the whole batch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from go4align.errors import UserError
from go4align.randomness import Draws
from go4align.weighting._engine.base import Weighting
from go4align.weighting._engine.ranks import Together

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Method = TypeVar("Method", bound=Weighting)


def synchronise(weighting: Method, model: nn.Module, group: ProcessGroup | None = None) -> Method:
    """Let the processes of a group take one step together: that of one process with all their batches.

    Losses are averaged over the ranks before they are weighted, and so are the tasks' gradients where a method compares
    them: weights, groups and state are the same on every rank bit for bit (given equal processors and versions, as for
    the parameters themselves), and numbers are drawn alike. A loss or a gradient that is bad on one rank is an error on
    all. Each rank counts alike, so the step is that of the joint batch if the ranks' batches have one size and their
    losses are means over samples; BatchNorm sees the rank's own batch.

    Whoever computes gradients averages them:
    - `model` as it is: `backward` leaves the mean over the ranks in `.grad` of its parameters. For every method.
    - `model` in DistributedDataParallel: its hooks do, while `backward` makes its pass. Not for methods that make a
      step of the tasks' gradients (`Weighting.in_one_pass` is False), which hooks do not see.

    Call it on all ranks, once, after the model and the weighting have moved to their device, and after a checkpoint
    was loaded: rank 0's state of the weighting is sent to the others, and its model's parameters and buffers where no
    DistributedDataParallel has done so. A method without a `seed` takes over rank 0's global random state here.

    Args:
        weighting: of the model's losses.
        model: all parameters that the losses depend on.
        group: the processes; None (default) for all.

    Returns:
        The weighting.

    Raises:
        UserError: no process group; a model whose parameters are sharded; DistributedDataParallel around a model
            whose gradients the method combines itself.
    """
    if not dist.is_available() or not dist.is_initialized():
        raise UserError(
            "`synchronise` needs the processes to know each other, found no process group. Call "
            "torch.distributed.init_process_group() first, and start the program with torchrun."
        )
    _refuse_shards(model)
    parameters = list(model.parameters())
    if not parameters:
        raise UserError("`model` must have parameters, found none. Pass the module whose losses are weighted.")
    hooked = [p for part in model.modules() if isinstance(part, DistributedDataParallel) for p in part.parameters()]
    if hooked and not weighting.in_one_pass:
        raise UserError(
            "This method combines the tasks' gradients itself, which the hooks of DistributedDataParallel do not see; "
            "found a model in it. Train the module itself: synchronise(weighting, ddp.module), and call ddp.module."
        )
    ranks = Together(weighting.n_tasks, parameters, hooked, group)
    for part in weighting.modules():
        if isinstance(part, Weighting):
            part.ranks = ranks
        draws = getattr(part, "draws", None)
        if isinstance(draws, Draws):
            draws.generator()
    weighting.load_state_dict(_from_first(_on_host(weighting.state_dict()), group))
    by_hooks = {id(p) for p in hooked}
    _send_from_first((p for p in parameters if id(p) not in by_hooks), group)
    if not hooked:
        _send_from_first(model.buffers(), group)
    return weighting


def _refuse_shards(model: nn.Module) -> None:
    parts = [*model.modules(), *model.parameters()]
    if _any_is(parts, "torch.distributed.fsdp", "FullyShardedDataParallel") or _any_is(
        parts, "torch.distributed.tensor", "DTensor"
    ):
        raise UserError(
            "`model` must be whole on every rank, found parameters that are sharded (FSDP, or tensor parallel). Use "
            "DistributedDataParallel, or the module as it is."
        )


def _any_is(things: Iterable[object], module: str, name: str) -> bool:
    """Whether one is of a class whose module takes seconds to import, and was imported by whoever made it."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and any(isinstance(thing, kind) for thing in things)


def _on_host(state: Any) -> Any:
    """Every tensor in mappings and sequences, however deep, in the host's memory."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {name: _on_host(entry) for name, entry in state.items()}
    return type(state)(map(_on_host, state)) if type(state) in (list, tuple) else state


def _from_first(thing: Any, group: ProcessGroup | None) -> Any:
    told = [thing]
    dist.broadcast_object_list(told, src=_first(group), group=group)
    return told[0]


def _send_from_first(tensors: Iterable[Tensor], group: ProcessGroup | None) -> None:
    with torch.no_grad():
        for tensor in tensors:
            told = tensor.detach().contiguous()
            dist.broadcast(told, src=_first(group), group=group)
            tensor.copy_(told)


def _first(group: ProcessGroup | None) -> int:
    return 0 if group is None else dist.get_global_rank(group, 0)
