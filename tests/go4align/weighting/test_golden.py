"""Every method against the effective weights that official code gave for the same losses, at double precision."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from go4align import GO4Align, Weighting, build_weighting

FOLDER = Path(__file__).parents[2] / "golden"
GO4ALIGN = json.loads((FOLDER / "go4align_m3.json").read_text())
LOSS_METHODS = json.loads((FOLDER / "loss_methods_m3.json").read_text())


def double(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weights_of(
    weighting: Weighting, losses: list[list[float]], optimizer: torch.optim.Optimizer | None = None
) -> Tensor:
    """Run every step the way a training does and return the recorded weights, checked against the gradients."""
    rows = []
    for step, values in enumerate(losses):
        parameters = double(values).requires_grad_()
        if optimizer is not None:
            optimizer.zero_grad()
        record = weighting.backward(parameters.clone(), shared_parameters=[parameters])
        assert torch.equal(parameters.grad, record.weights)
        rows.append(record.weights)
        if optimizer is not None:
            optimizer.step()
        if weighting.needs_losses_after:
            following = losses[step + 1] if step + 1 < len(losses) else LOSS_METHODS["losses_after_last"]
            weighting.after_step(double(following))
    return torch.stack(rows)


@pytest.mark.parametrize("case", GO4ALIGN["cases"], ids=lambda case: f"beta={case['beta']},K={case['n_groups']}")
def test_go4align_is_the_exact_optimum(case: dict[str, Any]) -> None:
    weighting = GO4Align(n_tasks=3, n_groups=case["n_groups"], beta=case["beta"])
    records = [weighting.weigh(double(losses)) for losses in GO4ALIGN["losses"]]
    weights = torch.stack([record.weights for record in records])
    torch.testing.assert_close(weights, double(case["weights"]), rtol=1e-12, atol=0)
    torch.testing.assert_close(weights, double(case["official"]), rtol=1e-6, atol=0)  # official code is in float32
    assert [record.labels.tolist() for record in records] == case["labels"]
    torch.testing.assert_close(torch.stack([r.centres for r in records]), double(case["centres"]), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("key", "name", "options", "tolerance"),
    [
        ("si", "si", {}, 1e-14),
        ("rlw", "rlw", {}, 0.0),
        ("dwa_window25", "dwa", {}, 5e-7),  # official code is in float32 here
        ("dwa_window5", "dwa", {"window": 5}, 5e-7),
        ("famo", "famo", {}, 1e-12),
        ("famo_weight_decay_1e-3", "famo", {"weight_decay": 1e-3}, 1e-12),
    ],
)
def test_equals_official_code(key: str, name: str, options: dict[str, Any], tolerance: float) -> None:
    torch.manual_seed(7)
    weights = weights_of(build_weighting(name, n_tasks=3, **options), LOSS_METHODS["losses"])
    torch.testing.assert_close(weights, double(LOSS_METHODS["effective_weights"][key]), rtol=0, atol=tolerance)


def test_uw_equals_official_code_with_its_own_learning_rate() -> None:
    weighting = build_weighting("uw", n_tasks=3)
    (group,) = weighting.parameter_groups()
    assert group["lr"] == 0.025
    assert list(weighting.parameters()) == group["params"]
    weights = weights_of(weighting, LOSS_METHODS["losses"], torch.optim.Adam([group]))
    torch.testing.assert_close(weights, double(LOSS_METHODS["effective_weights"]["uw_adam"]), rtol=0, atol=1e-12)


def test_dwa_without_window_is_the_printed_form() -> None:
    weighting = build_weighting("dwa", n_tasks=3, window=None)
    for epoch, expected in enumerate(LOSS_METHODS["dwa_epoch"]):
        weights = weights_of(weighting, LOSS_METHODS["losses"][10 * epoch : 10 * epoch + 10])
        weighting.end_epoch()
        torch.testing.assert_close(weights, double([expected] * 10), rtol=0, atol=1e-12)


def test_ls_and_stl() -> None:
    losses = LOSS_METHODS["losses"][:2]
    assert weights_of(build_weighting("ls", n_tasks=3), losses).tolist() == [[1.0] * 3] * 2
    assert weights_of(build_weighting("stl", n_tasks=3, task=2), losses).tolist() == [[0.0, 0.0, 1.0]] * 2
