"""A step that an error ends leaves the state as it was, whatever way the state is kept in."""

from types import MethodType
from typing import Any

import pytest
import torch

from go4align import UserError, build_weighting
from go4align.weighting.risk_guided import RiskGuided


def test_state_that_is_renewed_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the indicator's state is another tensor after a step, and the gradients are compared here."""
    weighting: Any = build_weighting("go4align", 2, clustering="gradient_affinity", beta=1.0)
    shared = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    monkeypatch.setattr(RiskGuided, "checks_on_host", False)
    scales = torch.tensor([1.0, 8.0], dtype=torch.float64)
    weighting.backward(shared * scales, shared_parameters=[shared])
    before = {name: entry.clone() for name, entry in weighting.state_dict().items() if isinstance(entry, torch.Tensor)}

    def refuse(self: Any, weights: torch.Tensor) -> None:
        raise UserError("no")

    weighting._check_weights = MethodType(refuse, weighting)
    with pytest.raises(UserError, match="no"):
        weighting.backward(shared * scales, shared_parameters=[shared])
    for name, entry in before.items():
        assert torch.equal(weighting.state_dict()[name], entry), name
