"""The part of the contract of weightings that is about batches in which some tasks have no label."""

import torch
from torch import Tensor, nn

from go4align.errors import UserError
from go4align.testing.common import near, refusal, requirement, same, state_of
from go4align.testing.networks import BuildWeighting, Heads
from go4align.weighting._engine.base import StepRecord, Weighting

N_TASKS = 6
ALL = tuple(range(N_TASKS))
ABSENT = (1, 4)
PRESENT = (0, 2, 3, 5)
_require = requirement("weighting")


def mask(*absent: int) -> Tensor:
    """[6] bool: which tasks have labels."""
    return torch.tensor([task not in absent for task in ALL], device="cpu")


def kept_of(weighting: nn.Module, tasks: tuple[int, ...] = ABSENT) -> dict[str, Tensor]:
    """Copies of everything that is kept for these tasks (`per_task`), and learnt of them."""
    found = {}
    for prefix, part in weighting.named_modules():
        for name, dimension in getattr(part, "per_task", {}).items():
            buffer = getattr(part, name)
            found[f"{prefix}.{name}"] = buffer.index_select(dimension, torch.tensor(tasks, device=buffer.device))
    for name, parameter in weighting.named_parameters():
        found[name] = parameter.detach()[list(tasks)].clone()
    return found


def warmed(build: BuildWeighting) -> Weighting:
    """A weighting that has taken some steps with all tasks, so that it has a state."""
    torch.manual_seed(0)
    weighting = build(N_TASKS)
    for scale in (1.0, 0.9, 0.7):
        network = Heads(N_TASKS)
        weighting.backward(scale * network.losses(ALL), shared_parameters=[network.shared])
        if weighting.needs_losses_after:
            weighting.after_step(0.8 * scale * network.losses(ALL).detach())
    return weighting


def absent_tasks_are_left_alone(build: BuildWeighting) -> None:
    """A task without labels has weight 0, no gradient and an unchanged state, whatever its loss is."""
    weighting = warmed(build)
    before = kept_of(weighting)
    network = Heads(N_TASKS)
    losses = network.losses(ALL, bad=ABSENT)
    try:
        record = weighting.backward(losses, shared_parameters=[network.shared], labelled=mask(*ABSENT))
    except UserError as error:
        record = StepRecord(torch.full((N_TASKS,), torch.nan))
        _require(False, "a step, whatever the losses of absent tasks are", error)
    weights = record.weights
    _require(not weights[list(ABSENT)].any(), "weight 0 of tasks without labels", weights.tolist())
    _require(bool(weights.isfinite().all()), "finite weights beside losses that are not", weights.tolist())
    if record.labels is not None and record.centres is not None:
        _require(bool((record.labels[list(ABSENT)] == -1).all()), "group -1 of tasks without labels", record.labels)
        used = sorted(set(record.labels.tolist()) - {-1})
        _require(used == list(range(len(record.centres))), "groups of the labelled tasks alone", record.labels)
    gradient = network.shared.grad
    _require(gradient is not None and bool(gradient.isfinite().all()), "a finite gradient", gradient)
    moved = [task for task in ABSENT if (head := network.heads[task].grad) is not None and bool(head.any())]
    _require(not moved, "no gradient for the heads of absent tasks", moved)
    if weighting.needs_losses_after:
        weighting.after_step(network.losses(ALL, bad=ABSENT).detach(), labelled=mask(*ABSENT))
    _require(same(kept_of(weighting), before), "what is kept of absent tasks to stay (`per_task`)", kept_of(weighting))
    _require(weighting.n_tasks == N_TASKS, "all tasks again after the step", weighting.n_tasks)


def other_tasks_are_weighted_as_if_alone(build: BuildWeighting) -> None:
    """From a fresh start: a weighting of fewer tasks gives the same weights and gradients."""
    whole, alone = build(N_TASKS), build(len(PRESENT))
    for _ in range(3):
        one, other = Heads(N_TASKS), Heads(N_TASKS)
        torch.manual_seed(0)
        given_all = whole.backward(one.losses(ALL, bad=ABSENT), shared_parameters=[one.shared], labelled=mask(*ABSENT))
        torch.manual_seed(0)
        given_some = alone.backward(other.losses(PRESENT), shared_parameters=[other.shared])
        found = given_all.weights[list(PRESENT)]
        _require(near(found, given_some.weights, 1e-12, 1e-300), "the weights of a problem without them", found)
        pairs = [(one.shared, other.shared), *((one.heads[task], other.heads[task]) for task in PRESENT)]
        for parameter, expected in pairs:
            kept = parameter.grad is not None and expected.grad is not None
            kept = kept and near(parameter.grad, expected.grad, 1e-10, 1e-12)
            _require(kept, "its gradients, too", parameter.grad)
        if whole.needs_losses_after:
            whole.after_step(0.5 * one.losses(ALL).detach(), labelled=mask(*ABSENT))
            alone.after_step(0.5 * other.losses(PRESENT).detach())


def all_labelled_is_saying_nothing(build: BuildWeighting) -> None:
    """Bit for bit."""
    results = []
    for labelled in (None, mask()):
        weighting = warmed(build)
        network = Heads(N_TASKS)
        record = weighting.backward(network.losses(ALL), shared_parameters=[network.shared], labelled=labelled)
        results.append([record.weights, network.shared.grad])
    _require(same(*results), "`labelled` of all tasks to change nothing", results[1][0])


def without_labels_nothing_happens(build: BuildWeighting) -> None:
    """No task has any: no gradient, the same state."""
    weighting = warmed(build)
    before = state_of(weighting)
    network = Heads(N_TASKS)
    losses = network.losses(ALL, bad=ALL)
    record = weighting.backward(losses, shared_parameters=[network.shared], labelled=mask(*ALL))
    if weighting.needs_losses_after:
        weighting.after_step(losses.detach(), labelled=mask(*ALL))
    _require(not record.weights.any(), "weights 0 where no task has a label", record.weights.tolist())
    _require(network.shared.grad is None, "no gradient there", network.shared.grad)
    _require(same(weighting.state_dict(), before), "an unchanged state there", weighting.state_dict())


def labelled_bad_losses_change_nothing(build: BuildWeighting) -> None:
    """They are as bad beside absent tasks."""
    weighting = warmed(build)
    if not weighting.checks_on_host:
        return
    before = state_of(weighting)
    network = Heads(N_TASKS)
    losses = network.losses(ALL, bad=(3,))
    told = refusal(lambda: weighting.backward(losses, shared_parameters=[network.shared], labelled=mask(*ABSENT)))
    _require("'task 3' must be finite" in told, "an error that names the task", told or "none")
    after = state_of(weighting)
    kept = all(near(after[key], value, 1e-14) for key, value in before.items() if isinstance(value, Tensor))
    _require(kept, "an unchanged state", after)
    _require(weighting.n_tasks == N_TASKS, "all tasks again after the error", weighting.n_tasks)


LABELLED_CHECKS = (
    absent_tasks_are_left_alone,
    other_tasks_are_weighted_as_if_alone,
    all_labelled_is_saying_nothing,
    without_labels_nothing_happens,
    labelled_bad_losses_change_nothing,
)
