"""A training step that a bad loss turns into none, on the device, without stopping the host.

Where the host does not look at the losses (`Weighting.checks_on_host`), it learns of a bad one at the end of the epoch
only, and by then the network would be lost. A zeroed gradient is not enough: Adam moves on by its momentum, and
BatchNorm's running statistics have seen the batch. So the device itself keeps everything as it was.
"""

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from go4align.weighting._engine.base import Weighting
from go4align.weighting._engine.undo import Undo

States = dict[Tensor, dict[str, Any]]


class SkippableStep:
    """One optimiser's step on one batch, made before the first forward pass of that batch.

    Where the host checks the losses it is `optimizer.step()` and costs nothing. Elsewhere a bad loss leaves parameters,
    the model's buffers and the optimiser's state bit for bit as they were; the weighting sees to its own state.
    Optimisers that can skip a step (fused Adam, AdamW, SGD, Adagrad; `found_inf` of torch.amp) do so; of others
    parameters and state are copied before each step: `fused=True` is the cheaper way.
    The host waits only for steps that make new state, the first one as a rule, to remove that again, and for an
    optimiser that keeps state on the host (Adam counts steps there without `fused` or `capturable`). Random numbers
    that the host drew for a bad batch (dropout's seeds, a method's draws) are used up.

    Args:
        model: whose buffers the forward passes change.
        optimizer: of the model's parameters, and the weighting's own.
        weighting: says whether the host checks the losses.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, weighting: Weighting) -> None:
        self._optimizer = optimizer
        self._buffers = None if weighting.checks_on_host else Undo(model.buffers())
        self._good: Tensor | None = None

    def take(self, good: Tensor | None) -> None:
        """Step the optimiser unless the losses were bad; `good` as in `StepRecord`, None always steps."""
        self._good = good
        if good is None:
            self._optimizer.step()
        else:
            _step_if(good, self._optimizer)

    def end(self) -> None:
        """Put the model's buffers back if the losses were bad, after the batch's last forward pass."""
        if self._buffers is not None and self._good is not None:
            self._buffers.unless(self._good)


def _step_if(good: Tensor, optimizer: Optimizer) -> None:
    before = {parameter: dict(entries) for parameter, entries in optimizer.state.items()}
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        _step_unless_found_inf(good, optimizer)
    else:
        kept = [*_parameters(optimizer), *_tensors(before)]
        if any(tensor.device != good.device for tensor in kept):
            if bool(good):
                optimizer.step()
            return
        undo = Undo(kept)
        optimizer.step()
        undo.unless(good)
    if _is_new(optimizer.state, before) and not bool(good):
        optimizer.state.clear()
        optimizer.state.update(before)


def _step_unless_found_inf(good: Tensor, optimizer: Any) -> None:
    """As `torch.amp.GradScaler.step` tells a fused optimiser that a gradient is not finite."""
    optimizer.grad_scale = None
    optimizer.found_inf = (~good).float()
    try:
        optimizer.step()
    finally:
        del optimizer.grad_scale, optimizer.found_inf


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _tensors(states: States) -> list[Tensor]:
    return [entry for entries in states.values() for entry in entries.values() if isinstance(entry, Tensor)]


def _is_new(states: States, before: States) -> bool:
    """Whether a step made state, or replaced it instead of changing it in place."""
    return any(
        entry is not before.get(parameter, {}).get(name)
        for parameter, entries in states.items()
        for name, entry in entries.items()
    )
