"""Group risk minimisation over any method's weights, and the paper's ablations: each is one configuration."""

from typing import Any

import pytest
import torch

from go4align import UserError, build_weighting
from go4align.testing.networks import losses_of, train
from go4align.weighting import available_indicators
from go4align.weighting.registry import build_indicator

INDICATORS = available_indicators()
each_indicator = pytest.mark.parametrize("indicator", INDICATORS)
LABELS = [0, 0, 1, 2, 2]
NEEDS = ("needs_losses_after", "needs_positive_losses", "needs_gradients", "uses_representation", "depends_on_order")


@each_indicator
def test_needs_and_learnable_parameters_are_those_of_the_method(indicator: str) -> None:
    weighting, plain = build_weighting("go4align", 3, indicator=indicator), build_indicator(indicator, 3)
    for need in NEEDS:
        assert getattr(weighting, need) == getattr(plain, need)
    grouped = [id(p) for group in weighting.parameter_groups() for p in group["params"]]
    assert [id(p) for p in weighting.parameters()] == grouped
    assert len(grouped) == len(list(plain.parameters()))


def test_options_of_the_indicator_are_passed_on_and_checked() -> None:
    assert build_weighting("go4align", 3, indicator="cagrad", indicator_options={"c": 0.2}).indicator.c == 0.2
    for options, message in (
        ({"indicator": "mdga"}, "Unknown indicator 'mdga'. Did you mean 'mgda'?"),
        ({"indicator": "cagrad", "indicator_options": {"radius": 1}}, "Unknown hyperparameter of 'cagrad' 'radius'."),
        ({"indicator": "mgda", "beta": 0.1}, "`beta` belongs to indicator 'risk_guided', found it with 'mgda'."),
        ({"indicator_options": {"c": 1}}, "`indicator_options` are hyperparameters of a method as indicator"),
        ({"indicator": "go4align"}, "Unknown indicator 'go4align'."),
        ({"indicator": "stl"}, "Unknown indicator 'stl'."),
    ):
        with pytest.raises(UserError) as error:
            build_weighting("go4align", 3, **options)
        assert message in str(error.value)


def test_the_components_of_the_indicator_are_configurations() -> None:
    """Table 3: scale only, smoothness only, both without grouping, all."""
    losses = [torch.tensor([0.5, 2.0, 8.0]), torch.tensor([0.4, 2.5, 4.0])]

    def weights(**options: Any) -> torch.Tensor:
        weighting = build_weighting("go4align", 3, beta=0.1, **options)
        return [weighting.weigh(values).weights for values in losses][-1]

    scale = losses[1].sum() / losses[1]
    smooth = torch.softmax(-0.1 * (losses[0] + losses[1]), 0)
    torch.testing.assert_close(weights(smooth=False, clustering="none"), scale / 3)
    torch.testing.assert_close(weights(scale="none", clustering="none"), 3 * smooth)
    torch.testing.assert_close(weights(clustering="none"), scale * smooth)
    torch.testing.assert_close(weights(clustering="none"), weights(n_groups=3))
    assert len(weights(n_groups=2).unique()) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"labels": LABELS, "weights": [1.0, 2.0, 3.0]},
        {"labels": LABELS},
        {"labels": LABELS, "permute": "once"},
        {"labels": LABELS, "permute": "each_step"},
        {"labels": LABELS, "weights": "random"},
    ],
    ids=["fixed weights", "dynamic weights", "random groups", "groups random at every step", "random weights"],
)
def test_ablations_of_the_groups_are_configurations(options: dict[str, Any]) -> None:
    """Figure 5."""
    weighting = build_weighting("go4align", 5, clustering="given", clustering_options=options)
    for weights in train(weighting, losses_of(5, 4)):
        assert len(weights.unique()) == 3
