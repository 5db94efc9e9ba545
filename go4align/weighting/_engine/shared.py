"""What the tasks share, checked for methods that compare the tasks' gradients there; and those gradients."""

from collections.abc import Sequence

from torch import Tensor

from go4align.errors import UserError
from go4align.grouping.base import GramianForm
from go4align.weighting._engine.base import Shared
from go4align.weighting._engine.graph import leaves
from go4align.weighting._engine.loss_checks import detached
from go4align.weighting._engine.ranks import ALONE, Ranks
from go4align.weighting._engine.task_gradients import (
    BatchedGradients,
    RepresentationGradients,
    StoredGradients,
    TaskGradients,
)


def trainable(shared: Shared) -> Shared:
    """Without frozen parameters, which an optimiser passes over, too."""
    return shared._replace(parameters=[p for p in shared.parameters if p.requires_grad])


def check_shared(losses: Tensor, shared: Shared) -> None:
    """See that the losses [M] have gradients with respect to what is shared.

    Args:
        losses: [M].
        shared: trainable.

    Raises:
        UserError: detached losses, no parameters, or a representation that the losses pass by.
    """
    if not losses.requires_grad:
        raise detached()
    if not shared.parameters:
        raise UserError(
            "`shared_parameters` must name at least one parameter that all tasks share and that is not frozen "
            "(requires_grad), found none. This method compares the tasks' gradients there: pass "
            "weighting.backward(losses, shared_parameters=[...])."
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
