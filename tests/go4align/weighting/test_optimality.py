"""Every solver against its own optimality conditions, on gradients that span six orders of magnitude and conflict."""

import warnings

import numpy
import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from jacobians import KINDS, jacobian, take_step
from torchjd.aggregation import GradDrop, PCGrad

from go4align import build_weighting
from go4align.errors import SolverWarning
from go4align.weighting.grad_drop import sign_dropout
from go4align.weighting.pcgrad import project_conflicts

SIZES = st.sampled_from([1, 2, 3, 11, 40])
problems = given(st.sampled_from(KINDS), SIZES, st.integers(0, 10_000), st.booleans())
often = settings(max_examples=120)


def has_full_rank(rows: torch.Tensor) -> bool:
    unit = rows / rows.norm(dim=1, keepdim=True)
    return bool(torch.linalg.matrix_rank(unit, rtol=1e-6) == len(rows))


@often
@problems
def test_mgda_reaches_the_least_norm(kind: str, n_tasks: int, seed: int, scaled: bool) -> None:
    rows = jacobian(kind, n_tasks, seed, scaled=scaled)
    record, grad = take_step(build_weighting("mgda", n_tasks, scale="none"), rows)
    assert (record.weights >= 0).all() and record.weights.sum().item() == pytest.approx(1)
    torch.testing.assert_close(grad, record.weights @ rows, rtol=1e-9, atol=1e-9 * float(rows.norm(dim=1).min()))
    square = (grad @ grad).item()
    lengths = rows.norm(dim=1)
    zero = (1e-6 * lengths.min()).square().item()  # the hull contains 0: there is no relative gap
    rounding = 1e-13 * lengths * (record.weights @ lengths)
    gaps = square - rows @ grad - rounding
    assert square < zero or gaps.max().item() <= 1e-6 * square


@often
@problems
def test_nash_mtl_solves_its_equations(kind: str, n_tasks: int, seed: int, scaled: bool) -> None:
    rows = jacobian(kind, n_tasks, seed, scaled=scaled)
    with warnings.catch_warnings():
        if not has_full_rank(rows):
            warnings.simplefilter("ignore", SolverWarning)
        record, grad = take_step(build_weighting("nash_mtl", n_tasks, max_norm=0), rows)
    assert (record.weights > 0).all() and record.weights.isfinite().all()
    if has_full_rank(rows):
        assert (record.weights * (rows @ grad) - 1).abs().max().item() <= 1e-6


@often
@problems
def test_cagrad_closes_its_duality_gap(kind: str, n_tasks: int, seed: int, scaled: bool) -> None:
    rows = jacobian(kind, n_tasks, seed, scaled=scaled)
    c = (0.1, 0.4, 1.0, 2.0)[seed % 4]
    record, step = take_step(build_weighting("cagrad", n_tasks, c=c, scale="none"), rows)
    mean = rows.mean(0)
    moves = record.weights - 1 / n_tasks
    assert (moves >= -1e-12 * record.weights.abs().max()).all()
    radius, distance = c * mean.norm().item(), (step - mean).norm().item()
    assert distance <= radius * (1 + 1e-9)
    worst = rows @ step + 1e-12 * rows.norm(dim=1) * (mean.norm() + step.norm())  # beyond rounding
    if distance < radius * (1 - 1e-6):
        assert (worst / rows.norm(dim=1)).min().item() >= -1e-7 * mean.norm().item()
        return
    weights = moves / moves.sum()
    toward = weights @ rows
    objective = (toward @ mean + radius * toward.norm()).item()
    assert objective - worst.min().item() <= 1e-8 * abs(objective) + 1e-12 * mean.norm().item() * toward.norm().item()


@often
@problems
def test_imtl_g_has_equal_projections(kind: str, n_tasks: int, seed: int, scaled: bool) -> None:
    rows = jacobian(kind, n_tasks, seed, scaled=scaled)
    with warnings.catch_warnings():
        if not has_full_rank(rows):
            warnings.simplefilter("ignore", SolverWarning)
        record, grad = take_step(build_weighting("imtl_g", n_tasks), rows)
    lengths = rows.norm(dim=1)
    projections = rows @ grad / lengths
    if has_full_rank(rows):
        assert record.weights.sum().item() == pytest.approx(1)
        assert (projections - projections.mean()).abs().max().item() <= 1e-6 * projections.mean().abs().item()
    else:
        assert (projections - projections.mean()).abs().max() <= 1e-6 * (record.weights.abs() * lengths).sum()


def sequential_pcgrad(rows: torch.Tensor, orders: numpy.ndarray) -> torch.Tensor:
    """Algorithm 1 of the paper, on the gradients themselves."""
    total = torch.zeros(rows.shape[1], dtype=rows.dtype)
    for task, order in enumerate(orders):
        projected = rows[task].clone()
        for other in order:
            product = projected @ rows[other]
            if other != task and product < 0:
                projected -= product / (rows[other] @ rows[other]) * rows[other]
        total += projected
    return total


@settings(max_examples=40)
@given(st.sampled_from(["plain", "conflict"]), st.sampled_from([2, 3, 11]), st.integers(0, 10_000))
def test_pcgrad_is_the_sequential_definition_in_a_given_order(kind: str, n_tasks: int, seed: int) -> None:
    rows = jacobian(kind, n_tasks, seed)
    random = numpy.random.default_rng(seed)
    orders = numpy.array([random.permutation(n_tasks) for _ in range(n_tasks)])
    weights = here(torch.from_numpy(project_conflicts((rows @ rows.T).cpu().numpy(), orders).sum(0)))
    expected = sequential_pcgrad(rows, orders)
    torch.testing.assert_close(weights @ rows, expected, rtol=1e-9, atol=1e-9 * float(expected.norm()))


@pytest.mark.cpu_only("TorchJD draws on the device, this library on the host, the same everywhere")
@pytest.mark.parametrize("n_tasks", [1, 2, 11])
def test_pcgrad_and_grad_drop_equal_torchjd_after_a_seed(n_tasks: int) -> None:
    rows = jacobian("conflict", n_tasks, 0)
    for name, options, aggregator in (("pcgrad", {}, PCGrad()), ("grad_drop", {"max_norm": 0}, GradDrop())):
        torch.manual_seed(5)
        expected = aggregator(rows)
        torch.manual_seed(5)
        _, grad = take_step(build_weighting(name, n_tasks, **options), rows)
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-9 * float(expected.norm()))


@settings(max_examples=40)
@given(st.sampled_from(KINDS), st.sampled_from([1, 2, 11]), st.integers(0, 10_000))
def test_grad_drop_keeps_one_sign_per_entry(kind: str, n_tasks: int, seed: int) -> None:
    rows = jacobian(kind, n_tasks, seed)
    generator = torch.Generator().manual_seed(seed)
    noise = here(torch.rand(rows.shape[1], generator=generator, dtype=rows.dtype, device="cpu"))
    combined, kept = sign_dropout(rows, noise)
    positive, negative = rows.clamp(min=0).sum(0), rows.clamp(max=0).sum(0)
    chosen = positive / (positive - negative) > noise
    torch.testing.assert_close(combined, torch.where(chosen, positive, negative), rtol=1e-12, atol=0)
    shares = kept / rows.square().sum(1)
    assert (shares >= 0).all() and (shares <= 1 + 1e-12).all()


def test_a_bargain_without_solution_is_told_and_still_finite() -> None:
    weighting = build_weighting("nash_mtl", 3)
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    with pytest.warns(SolverWarning, match=r"nash_mtl with 3 tasks: .* the residual is .*e"):
        record, grad = take_step(weighting, rows)
    assert record.weights.isfinite().all() and (record.weights > 0).all()
    assert grad.norm().item() <= 1.0 and grad[1].item() > 0.5


def test_a_solver_that_stops_early_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = jacobian("conflict", 11, 0)
    monkeypatch.setattr("go4align.weighting.mgda.minimum_norm_point", lambda gramian: numpy.full(11, 1 / 11))
    with pytest.warns(SolverWarning, match="mgda with 11 tasks: the duality gap must be at most 1e-6"):
        take_step(build_weighting("mgda", 11), rows)
    monkeypatch.setattr("go4align.weighting.cagrad.conflict_averse", lambda gramian, c: numpy.full(11, 1e-9))
    with pytest.warns(SolverWarning, match="cagrad with 11 tasks: the duality gap must be at most 1e-8"):
        take_step(build_weighting("cagrad", 11), rows)
