"""The contract of weightings: what training loops, resumes and reports rely on."""

import math
from collections.abc import Callable

import torch
from torch import nn

from go4align.errors import UserError
from go4align.testing.common import loaded, near, refusal, requirement, same, saved, state_of
from go4align.testing.labelled import LABELLED_CHECKS
from go4align.testing.networks import BuildWeighting, losses_of, optimizer_of, train
from go4align.testing.number_formats import NUMBER_FORMAT_CHECKS
from go4align.weighting._engine.base import StepRecord

WeightingCheck = Callable[[BuildWeighting], None]

SIZES = (1, 2, 3, 11)
DTYPES = (torch.float32, torch.float64)
BAD = (math.nan, math.inf, -math.inf, -0.5)
EXTREME = ((0.0, 1.0, 2.0), (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1e-30, 1.0, 1e30))
NAMES = ("depth", "normal", "segmentation")
_require = requirement("weighting")


def check_weighting(build: BuildWeighting) -> None:
    """Check all that a training loop relies on: shapes, finite weights, what bad losses do, resumes, absent labels.

    The checks run on torch's default device. What only a CPU does, to tell a bad loss at once, is left out elsewhere,
    and so is what the weighting's attributes say that it does not do.

    Args:
        build: the class, or a function like it: called with `n_tasks`, and with `task_names` by name.

    Raises:
        BrokenContractError: the first thing that is not as it must be.
    """
    for check in WEIGHTING_CHECKS.values():
        check(build)


def records_are_complete(build: BuildWeighting) -> None:
    """One finite, detached weight for each task, in the losses' dtype; groups, if any, are full and in order."""
    for n_tasks in SIZES:
        for dtype in DTYPES:
            weighting = build(n_tasks)
            for values in losses_of(n_tasks, 6, dtype):
                record = weighting.backward(values.requires_grad_(), shared_parameters=[values])  # type: ignore[list-item]
                _complete(record, n_tasks, dtype)
                if weighting.needs_losses_after:
                    weighting.after_step(values.detach())


def _complete(record: StepRecord, n_tasks: int, dtype: torch.dtype) -> None:
    weights = record.weights
    _require(weights.shape == (n_tasks,), f"weights of shape ({n_tasks},)", tuple(weights.shape))
    _require(weights.dtype == dtype, f"weights in the losses' dtype, {dtype}", weights.dtype)
    _require(bool(weights.isfinite().all()), "finite weights", weights.tolist())
    _require(not weights.requires_grad, "detached weights", "some that are attached to a graph")
    _require((record.labels is None) == (record.centres is None), "both labels and centres, or neither", record)
    if record.labels is None or record.centres is None:
        return
    _require(record.labels.dtype == torch.int64, "int64 labels", record.labels.dtype)
    centres = record.centres[~record.centres.isnan()]
    used = record.labels.unique().tolist()
    _require(used == list(range(len(centres))), f"labels that use all of {len(centres)} groups", used)
    _require(bool((centres.diff() >= 0).all()), "ascending centres", centres.tolist())
    _require(near(record.centres[record.labels], weights, 1e-5), "weights that are their groups' centres", record)


def weights_multiply_the_gradients(build: BuildWeighting) -> None:
    """Tasks whose gradients have no parameter in common get them times their weights, and no other."""
    for n_tasks in SIZES:
        weighting = build(n_tasks)
        for values in losses_of(n_tasks, 8):
            shared = nn.Parameter(torch.ones_like(values))
            weights = weighting.backward(values * shared, shared_parameters=[shared]).weights
            kept = shared.grad is not None and near(shared.grad, weights * values, 1e-7, 1e-7)
            _require(kept, "the gradients in `.grad` times the recorded weights", shared.grad)
            if weighting.needs_losses_after:
                weighting.after_step(values * 0.9)


def resumed_run_is_the_whole_one(build: BuildWeighting) -> None:
    """`state_dict` holds all that later steps depend on, random numbers among it, bit for bit."""
    for n_tasks in SIZES:
        for dtype in DTYPES:
            losses = losses_of(n_tasks, 70, dtype)
            whole = build(n_tasks)
            torch.manual_seed(0)
            expected = train(whole, losses, optimizer_of(whole))
            first = build(n_tasks)
            torch.manual_seed(0)
            optimizer = optimizer_of(first)
            found = train(first, losses[:36], optimizer)
            state, optimizer_state = loaded(saved([first.state_dict(), optimizer and optimizer.state_dict()]))
            torch.manual_seed(99)
            second = build(n_tasks)
            second.load_state_dict(state)
            again = optimizer_of(second)
            if again is not None:
                again.load_state_dict(optimizer_state)
            found += train(second, losses[36:], again)
            _require(same(found, expected), "a resumed run to have the weights of the whole one", found[36])
            _require(same(second.state_dict(), whole.state_dict()), "its state, too", second.state_dict())


def bad_losses_change_nothing(build: BuildWeighting) -> None:
    """One that is not finite, or negative where that is an error, is told with task and step; see `LossChecks`."""
    for bad in BAD:
        weighting = build(3, task_names=NAMES)
        if not weighting.checks_on_host or (bad == -0.5 and not weighting.needs_positive_losses):
            continue
        train(weighting, losses_of(3, 5))
        weighting.zero_grad()
        state = state_of(weighting)
        shared = nn.Parameter(torch.tensor([1.0, bad, 1.0]))
        losses = shared * 1
        told = refusal(lambda: weighting.backward(losses, shared_parameters=[shared]))  # noqa: B023 - called at once
        _require("'normal'" in told and "at step 6" in told, "an error that names task and step", told or "none")
        _require(same(state_of(weighting), state), f"an unchanged state after a loss of {bad}", state_of(weighting))
        untouched = all(parameter.grad is None for parameter in (shared, *weighting.parameters()))
        _require(untouched, "no gradient from a bad loss", "some")
        if weighting.needs_losses_after:
            told = refusal(lambda: weighting.after_step(shared.detach()))  # noqa: B023 - called at once
            _require("'normal'" in told, "bad losses after the step to be an error, too", told or "none")
            _require(same(state_of(weighting), state), "a state that they leave as it was", state_of(weighting))


def wrong_losses_are_refused(build: BuildWeighting) -> None:
    """What is no tensor [M] attached to a graph is told in one line, and changes nothing."""
    weighting = build(3)
    state = state_of(weighting)
    wrong = [torch.ones(2), torch.ones(3, 1), torch.ones(()), [torch.ones(())] * 3, [1.0, 2.0, 3.0], None]
    for losses in wrong:
        if isinstance(losses, torch.Tensor):
            losses.requires_grad_()
        for call in (weighting.backward, weighting.weigh):
            told = refusal(lambda: call(losses))  # type: ignore[arg-type]  # noqa: B023 - called at once
            _require("shape (3,)" in told, "an error that says the shape that losses must have", told or "none")
    told = refusal(lambda: weighting.backward(torch.ones(3)))
    _require("attached to the graph" in told, "detached losses to be an error", told or "none")
    _require(same(state_of(weighting), state), "a state that they leave as it was", state_of(weighting))


def extreme_losses_give_finite_weights(build: BuildWeighting) -> None:
    """Zero, equal, and apart by 1e60, sixty steps of them."""
    for values in EXTREME:
        for dtype in DTYPES:
            weighting = build(3)
            for _ in range(60):
                losses = torch.tensor(values, dtype=dtype, requires_grad=True)
                try:
                    weights = weighting.backward(losses, shared_parameters=[losses]).weights  # type: ignore[list-item]
                except UserError as error:
                    weights = torch.tensor(math.nan)
                    _require(False, f"a step with losses of {values}", error)
                _require(bool(weights.isfinite().all()), f"finite weights for losses of {values}", weights.tolist())
                if weighting.needs_losses_after:
                    weighting.after_step(losses.detach())


def order_of_tasks_does_not_matter(build: BuildWeighting) -> None:
    """Unless the weighting says so (`depends_on_order`)."""
    one, other = build(5), build(5)
    if one.depends_on_order:
        return
    order = torch.tensor([3, 0, 4, 1, 2])
    losses = losses_of(5, 40)
    expected = train(one, losses, optimizer_of(one))
    found = train(other, [values[order] for values in losses], optimizer_of(other))
    for weights, permuted in zip(expected, found, strict=True):
        kept = near(permuted, weights[order], 1e-9, 1e-12)
        _require(kept, "tasks in another order to get the same weights (or `depends_on_order`)", permuted)


def seed_decides_all(build: BuildWeighting) -> None:
    """After `torch.manual_seed` two runs are equal bit for bit: no other source of random numbers."""
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(train(build(4), losses_of(4, 8)))
    _require(same(runs[0], runs[1]), "equal runs after equal `torch.manual_seed`", "a difference")


def state_stays_in_double_precision(build: BuildWeighting) -> None:
    """A model that contains the weighting may be converted: its state is float64 all the same."""
    weighting = build(3)
    train(weighting, losses_of(3, 3))
    state = state_of(weighting)
    nn.Sequential(weighting).half()
    _require(same(weighting.state_dict(), state), "a state that `.half()` leaves as it is", weighting.state_dict())
    dtypes = {parameter.dtype for parameter in weighting.parameters()}
    _require(dtypes <= {torch.float64}, "learnable parameters in float64", dtypes)


def nothing_waits_for_the_device(build: BuildWeighting) -> None:
    """On the meta device tensors have no values: whatever looks at one, and would stop a GPU's host, raises.

    Weightings that compare gradients solve on the host and are left out.
    """
    weighting = build(5)
    if weighting.needs_gradients:
        return
    weighting.to("meta")
    losses = torch.ones(5, device="meta", requires_grad=True)
    try:
        record = weighting.backward(losses)
        if weighting.needs_losses_after:
            weighting.after_step(losses.detach())
    except (RuntimeError, NotImplementedError) as error:
        _require(False, "a step that looks at no value on the device (or `needs_gradients`)", error)
    else:
        kept = record.good is not None and record.good.device.type == "meta"
        _require(kept, "a record that says on the device whether the step is `good`", record)


def state_does_not_grow(build: BuildWeighting) -> None:
    """A checkpoint has the same size after ten times as many steps."""
    weighting = build(3)
    losses = losses_of(3, 8)
    train(weighting, losses)
    before = len(saved(weighting.state_dict()))
    for _ in range(10):
        train(weighting, losses)
    after = len(saved(weighting.state_dict()))
    _require(after == before, f"a state of {before} bytes after any number of steps", f"{after} bytes")


def learnable_parameters_join_the_optimiser(build: BuildWeighting) -> None:
    """`parameter_groups` names every parameter once, and a step gives each a gradient."""
    weighting = build(3)
    grouped = [parameter for group in weighting.parameter_groups() for parameter in group["params"]]
    named = [id(parameter) for parameter in grouped]
    kept = named == [id(parameter) for parameter in weighting.parameters()]
    _require(kept, "`parameter_groups` of all the weighting's parameters", f"{len(named)} parameters in them")
    train(weighting, losses_of(3, 1))
    kept = all(parameter.grad is not None for parameter in grouped)
    _require(kept, "a step to give every learnable parameter a gradient", "one without")


WEIGHTING_CHECKS: dict[str, WeightingCheck] = {
    check.__name__: check
    for check in (
        wrong_losses_are_refused,
        records_are_complete,
        weights_multiply_the_gradients,
        bad_losses_change_nothing,
        learnable_parameters_join_the_optimiser,
        state_stays_in_double_precision,
        seed_decides_all,
        order_of_tasks_does_not_matter,
        nothing_waits_for_the_device,
        extreme_losses_give_finite_weights,
        state_does_not_grow,
        resumed_run_is_the_whole_one,
        *LABELLED_CHECKS,
        *NUMBER_FORMAT_CHECKS,
    )
}
"""Every check by its name."""
