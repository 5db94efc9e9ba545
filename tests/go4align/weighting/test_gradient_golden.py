"""Gradient-oriented methods against official code where it is exact, and against exact optima where it is not."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from devices import here
from jacobians import take_step

from go4align import build_weighting
from go4align.weighting.grad_drop import sign_dropout
from go4align.weighting.pcgrad import project_conflicts

CASES = json.loads((Path(__file__).parents[2] / "golden" / "grad_methods_m3.json").read_text())["cases"]
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def double(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def assert_near(found: torch.Tensor, expected: Any, tolerance: float) -> None:
    torch.testing.assert_close(found, double(expected), rtol=0, atol=tolerance * float(double(expected).abs().max()))


@each_case
def test_mgda(case: dict[str, Any]) -> None:
    rows = double(case["J"])
    record, grad = take_step(build_weighting("mgda", 3), rows)
    assert_near(record.weights / 3, case["mgda_weights"], 1e-12)
    torch.testing.assert_close(grad, record.weights @ rows)


@each_case
def test_cagrad(case: dict[str, Any]) -> None:
    rows = double(case["J"])
    record, grad = take_step(build_weighting("cagrad", 3), rows)
    assert_near(grad, case["cagrad_c0.4_grad"], 2e-7)
    moves = record.weights * (1.16 / 3) - 1 / 3
    toward, mean = moves / moves.sum() @ rows, rows.mean(0)
    objective = (toward @ mean + 0.4 * mean.norm() * toward.norm()).item()
    assert objective == pytest.approx(case["cagrad_c0.4_objective"], rel=1e-10)


@each_case
def test_nash_mtl(case: dict[str, Any]) -> None:
    rows, expected = double(case["J"]), double(case["nash_mtl_weights"])
    record, _ = take_step(build_weighting("nash_mtl", 3, max_norm=0), rows)
    torch.testing.assert_close(record.weights, expected, rtol=1e-9, atol=0)
    record, grad = take_step(build_weighting("nash_mtl", 3), rows)
    torch.testing.assert_close(record.weights, expected / (3**0.5 + 1e-6), rtol=1e-9, atol=0)
    assert grad.norm().item() == pytest.approx(1, abs=1e-6)


@each_case
def test_imtl_g(case: dict[str, Any]) -> None:
    record, _ = take_step(build_weighting("imtl_g", 3), double(case["J"]))
    assert record.weights.sum().item() == pytest.approx(1)
    if case["imtl_g_weights"] is not None:
        assert_near(record.weights, case["imtl_g_weights"], 1e-12)


@each_case
def test_pcgrad(case: dict[str, Any]) -> None:
    rows = double(case["J"])
    in_order = numpy.tile(numpy.arange(3), (3, 1))
    weights = project_conflicts((rows @ rows.T).cpu().numpy(), in_order).sum(0)
    assert_near(here(torch.from_numpy(weights)) @ rows, case["pcgrad_grad"], 1e-12)


@each_case
def test_grad_drop(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, noise = double(case["J"]), double(case["grad_drop_noise"])
    assert_near(sign_dropout(rows, noise)[0], case["grad_drop_sum"], 1e-12)
    monkeypatch.setattr("torch.rand", lambda *size, **options: noise)
    _, grad = take_step(build_weighting("grad_drop", 3), rows)
    assert_near(grad, case["grad_drop_grad"], 1e-7)
