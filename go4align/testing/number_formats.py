"""The part of the contract of weightings that is about what numbers cannot hold, and losses times a factor."""

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from go4align.errors import SolverWarning, UserError
from go4align.testing.common import near, refusal, requirement, same, state_of
from go4align.testing.networks import BuildWeighting, Rooted, Scaled
from go4align.weighting._engine.base import Weighting

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SCALES = (
    (1e-3, 1.0, 1e3),
    (1e-5, 1.0, 1.0),
    (1e-40, 1.0, 1.0),
    (1e-310, 1.0, 1e30),
    (1e-30, 1.0, 1e30),
    (6e4, 6e4, 6e4),
    (3e38, 3e38, 3e38),
)
APART = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
CONFLICT = ((1.0, 0.25, 0.0, 0.0), (-0.5, 1.0, 0.5, 1.0), (0.25, -0.75, 1.0, 2.0))
FACTOR = 65536.0
"""A GradScaler's first scale."""
_require = requirement("weighting")


def what_is_written_is_finite(build: BuildWeighting) -> None:
    """Losses and gradients from 1e-310 to 3e38 in any format: a finite step, or an error that names a task."""
    if not build(3).checks_on_host:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)
        for rows in (APART, CONFLICT):
            for dtype in DTYPES:
                for scales in SCALES:
                    _two_steps(build, Scaled(scales, dtype, rows))


def _two_steps(build: BuildWeighting, network: Scaled) -> None:
    torch.manual_seed(0)
    weighting = build(3)
    for _ in range(2):
        state = state_of(weighting)
        try:
            record = network.step(weighting)
        except UserError as error:
            _refused(weighting, str(error), state)
            _require(not network.gradients(), "an error to leave no gradient", network.gradients())
            return
        _require(bool(record.weights.isfinite().all()), "finite weights", record.weights.tolist())
        heads = record.head_weights
        _require(heads is None or bool(heads.isfinite().all()), "finite weights of the heads", heads)
        written = all(bool(gradient.isfinite().all()) for gradient in network.gradients())
        _require(written, "finite gradients, or an error", network.gradients())
        if weighting.needs_losses_after:
            weighting.after_step(network.losses().detach())


def _refused(weighting: Weighting, told: str, state: object) -> None:
    named = any(f"'{task}'" in told for task in weighting.task_names)
    _require(named, "an error that names a task", told)
    _require(same(state_of(weighting), state), "an error to leave the state as it was", state_of(weighting))


def overflow_leaves_gradients_as_they_were(build: BuildWeighting) -> None:
    """A sum that overflows is an error, and `.grad` that was there stays; else what is there is finite."""
    network = Scaled((6e4, 6e4, 6e4), torch.float16, (APART[0],) * 3)
    weighting = build(3)
    if not weighting.checks_on_host:
        return
    for parameter in network.parameters:
        parameter.grad = torch.full_like(parameter, 6e4)
    before = [parameter.grad for parameter in network.parameters]
    state = state_of(weighting)
    losses = network.losses()
    told = refusal(lambda: weighting.backward(losses, shared_parameters=[network.shared]))
    if told:
        _refused(weighting, told, state)
        pairs = zip(network.parameters, before, strict=True)
        left = all(p.grad is grad and bool((grad == 6e4).all()) for p, grad in pairs if grad is not None)
        _require(left, "an error to leave `.grad` as it was", network.gradients())
    written = all(bool(gradient.isfinite().all()) for gradient in network.gradients())
    _require(written, "finite gradients, or an error", network.gradients())


def bad_gradients_are_refused(build: BuildWeighting) -> None:
    """A finite loss may have a gradient that is not: an error that names the task, if its gradient counts at all."""
    network, weighting = Rooted(), build(3)
    if not weighting.checks_on_host:
        return
    state = state_of(weighting)
    losses = network.losses()
    told = refusal(lambda: weighting.backward(losses, shared_parameters=[network.shared]))
    parameters = [network.shared, *network.heads, *weighting.parameters()]
    if told:
        _refused(weighting, told, state)
        _require(all(parameter.grad is None for parameter in parameters), "an error to leave no gradient", "some")
    kept = all(bool(parameter.grad.isfinite().all()) for parameter in parameters if parameter.grad is not None)
    _require(kept, "finite gradients, or an error", network.heads[1].grad)


def scaled_losses_are_taken_or_refused(build: BuildWeighting) -> None:
    """`takes_scaled_losses`: losses times a factor give the step times it; else a GradScaler's losses are an error."""
    weighting = build(3)
    if weighting.takes_scaled_losses:
        found, expected = (_last_gradient(build, factor) for factor in (FACTOR, 1.0))
        _require(near(found, expected, 1e-9), "`takes_scaled_losses` of steps that grow with the losses", found)
        return
    scaler = torch.amp.GradScaler(torch.get_default_device().type)
    theta = nn.Parameter(torch.tensor([3.0, 2.0, 1.0]))
    for losses in (scaler.scale(_losses(theta)), torch.stack(scaler.scale(list(_losses(theta).unbind())))):
        told = refusal(lambda: weighting.backward(losses, shared_parameters=[theta]))  # noqa: B023 - called at once
        _require(
            "must not be scaled" in told, "scaled losses to be an error (or `takes_scaled_losses`)", told or "none"
        )
    _require(int(weighting.step) == 0 and theta.grad is None, "an error to leave all as it was", theta.grad)


def _losses(
    theta: torch.Tensor, rows: Sequence[Sequence[float]] = ((1, 2, 0.5), (-1, 1.5, 3), (0.5, 2, -4))
) -> torch.Tensor:
    return (torch.tensor(rows, dtype=theta.dtype) @ theta).square() + 1


def _last_gradient(build: BuildWeighting, factor: float) -> torch.Tensor:
    """Of five steps on losses times a factor, divided by it as `unscale_` does."""
    torch.manual_seed(0)
    weighting = build(3)
    theta = nn.Parameter(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    for _ in range(5):
        theta.grad = None
        weighting.backward(_losses(theta) * factor, shared_parameters=[theta])
        if weighting.needs_losses_after:
            weighting.after_step(_losses(theta.detach()) * factor * torch.tensor([0.9, 0.8, 0.95]))
    assert theta.grad is not None
    return theta.grad / factor


NUMBER_FORMAT_CHECKS = (
    what_is_written_is_finite,
    overflow_leaves_gradients_as_they_were,
    bad_gradients_are_refused,
    scaled_losses_are_taken_or_refused,
)
