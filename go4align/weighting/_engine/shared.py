"""What the tasks share, checked for methods that compare the tasks' gradients there; and those gradients."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from go4align.errors import UserError
from go4align.grouping.base import GramianForm
from go4align.models.base import Representation
from go4align.weighting._engine.graph import leaves
from go4align.weighting._engine.loss_checks import check_attached
from go4align.weighting._engine.ranks import ALONE, Ranks
from go4align.weighting._engine.task_gradients import (
    BatchedGradients,
    RepresentationGradients,
    StoredGradients,
    TaskGradients,
)


class Shared(NamedTuple):
    """What the tasks share in one step.

    Attributes:
        parameters: that all tasks share; empty if none were named.
        representation: the tensors that the heads read; empty if none were given.
        heads: of each task, the leaves that its loss alone depends on, where a backward pass of every task may take
            their gradients, too; empty where it need not, or where some are of several tasks, but not shared.
    """

    parameters: Sequence[Tensor]
    representation: Sequence[Tensor]
    heads: Sequence[Sequence[Tensor]] = ()


def as_shared(parameters: Iterable[nn.Parameter], representation: Representation | None) -> Shared:
    """What a step is told of what the tasks share, each parameter once.

    Raises:
        UserError: something else than parameters, or than tensors as the representation.
    """
    named = list(dict.fromkeys(_tensors("shared_parameters", parameters, "model.encoder.parameters()")))
    if not all(parameter.is_leaf for parameter in named):
        raise UserError(
            "`shared_parameters` must be parameters themselves, found a tensor that was computed from others. Pass "
            "model.encoder.parameters(), or a list."
        )
    if representation is None:
        return Shared(named, ())
    if isinstance(representation, Tensor):
        return Shared(named, (representation,))
    return Shared(named, _tensors("representation", representation, "z"))


def _tensors(name: str, found: object, example: str) -> list[Tensor]:
    several = isinstance(found, Iterable) and not isinstance(found, (Tensor, nn.Module, Mapping, str))
    every = list(found) if several else []  # type: ignore[call-overload]
    wrong = [one for one in every if not isinstance(one, Tensor)]
    if wrong or not several:
        told = f"a {type(wrong[0]).__name__} in it" if wrong else f"a {type(found).__name__}"
        raise UserError(f"`{name}` must be an iterable of tensors, found {told}. Pass {example}, or a list.")
    return every


def trainable(shared: Shared) -> Shared:
    """Without frozen parameters, which an optimiser passes over, too."""
    return shared._replace(parameters=[p for p in shared.parameters if p.requires_grad])


def check_shared(losses: Tensor, shared: Shared, reached: Sequence[Tensor] | None = None) -> None:
    """See that the losses [M] have gradients with respect to what is shared.

    Args:
        losses: [M].
        shared: trainable.
        reached: the leaves that the losses depend on, where they are known already.

    Raises:
        UserError: detached losses, no parameters or none that the losses depend on, or a representation that they
            pass by.
    """
    check_attached(losses)
    if not shared.parameters:
        raise UserError(
            "`shared_parameters` must name at least one parameter that all tasks share and that is not frozen "
            "(requires_grad), found none. This method compares the tasks' gradients there: pass "
            "weighting.backward(losses, shared_parameters=[...])."
        )
    known = {id(leaf) for leaf in (leaves([losses]) if reached is None else reached)}
    if not any(id(parameter) in known for parameter in shared.parameters):
        raise UserError(
            "`shared_parameters` must name parameters that the losses depend on, found none that any loss does. Pass "
            "those of the network that these losses are from, not of a copy of it."
        )
    if shared.representation:
        _check_representation(losses, shared.parameters, shared.representation)


def gradients_by(
    form: GramianForm, losses: Tensor, shared: Shared, scratch: list[Tensor], ranks: Ranks = ALONE
) -> TaskGradients:
    """The gradients of losses [M], in the way that a method or grouping asks for; the graph is kept.

    Args:
        form: see `GramianWeighting`.
        losses: [M], attached to the graph.
        shared: trainable and checked.
        scratch: see `StoredGradients`.
        ranks: whose mean gradients they are.
    """
    if form == "representation":
        if not shared.representation:
            raise UserError('gramian="representation" needs `representation`, what the task heads read, found none.')
        return RepresentationGradients(losses, shared.parameters, shared.representation, ranks=ranks)
    if form == "layerwise" or shared.representation:
        return BatchedGradients(losses, shared.parameters, shared.representation, ranks=ranks)
    return StoredGradients(losses, shared.parameters, scratch, shared.heads, ranks=ranks)


def _check_representation(losses: Tensor, parameters: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    if any(z.grad_fn is None for z in outputs):
        raise UserError("`representation` must be computed by the shared parameters, found a tensor without a graph.")
    past = {id(leaf) for leaf in leaves([losses], beyond=outputs)}
    if any(id(p) in past for p in parameters):
        raise UserError(
            "Every loss must depend on the shared parameters through `representation` alone, found a shared parameter "
            "that a loss reaches in another way. Name all tensors that the heads read, or leave `representation` out "
            '(in training: gramian="stored").'
        )
