"""Losses and metrics of the image benchmarks against the outputs of published code and float64 references."""

from typing import Any

import pytest
import torch
from devices import here
from oracles import oracle, tensor
from torch import Tensor

from go4align.metrics.classification import F1Scores, binary_cross_entropies
from go4align.metrics.depth import DepthErrors, l1
from go4align.metrics.normals import AngleErrors, one_minus_cosine
from go4align.metrics.segmentation import ConfusionMatrix, cross_entropy

ANGLES = {"mean_deg": "mean", "median_deg": "median", "within_11.25": "within_11.25", "within_22.5": "within_22.5"}


@pytest.fixture(scope="module", params=["nyuv2 0", "nyuv2 1", "cityscapes 0"])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    name, _, number = request.param.partition(" ")
    return oracle(f"metrics_{name}")["cases"][int(number)]


def batches(case: dict[str, Any]) -> list[dict[str, Tensor]]:
    parts = {name: here(tensor(array)).split(case["batch_sizes"]) for name, array in case["arrays"].items()}
    return [dict(zip(parts, batch, strict=True)) for batch in zip(*parts.values(), strict=True)]


def test_segmentation(case: dict[str, Any]) -> None:
    expected = case["expected_pooled_float64"]
    matrix = ConfusionMatrix(case["arrays"]["logits"]["shape"][1])
    losses = []
    for batch in batches(case):
        scores = batch["logits"].log_softmax(1)
        matrix.update(scores, batch["label"])
        losses.append(float(cross_entropy(scores, batch["label"].long())))
    found = matrix.compute()
    assert matrix.counts.tolist() == expected["confusion_matrix_rows_target_cols_prediction"]
    assert found["miou"] == pytest.approx(expected["miou_nanmean_over_classes_with_union_gt_0"], rel=1e-12)
    assert found["pixel_acc"] == pytest.approx(expected["pixel_accuracy"], rel=1e-12)
    assert losses == pytest.approx(expected["cross_entropy_per_batch"], rel=1e-6)


@pytest.mark.parametrize("batch_mean", [False, True])
def test_depth(case: dict[str, Any], batch_mean: bool) -> None:
    errors = DepthErrors(batch_mean=batch_mean)
    losses = []
    for batch in batches(case):
        errors.update(batch["depth_p"], batch["depth_t"])
        losses.append(float(l1(batch["depth_p"], batch["depth_t"])))
    found = errors.compute()
    kind, how = ("official_batch_mean_float32", "batch_mean") if batch_mean else ("expected_pooled_float64", "pooled")
    for name, key in (("abs_err", "abs"), ("rel_err", "rel")):
        assert found[name] == pytest.approx(case[kind][f"depth_{key}_{how}"], rel=1e-5 if batch_mean else 1e-6)
    assert losses == pytest.approx(case["expected_pooled_float64"]["l1_loss_per_batch"], rel=1e-5)


@pytest.mark.parametrize("batch_mean", [False, True])
def test_normals(case: dict[str, Any], batch_mean: bool) -> None:
    if "normal_t" not in case["arrays"]:
        pytest.skip("this case has no normals")
    errors = AngleErrors(batch_mean=batch_mean)
    losses = []
    for batch in batches(case):
        errors.update(batch["normal_p"], batch["normal_t"])
        losses.append(float(one_minus_cosine(batch["normal_p"], batch["normal_t"])))
    found = errors.compute()
    expected = case["expected_pooled_float64"]
    angles = case["official_batch_mean_float32"]["angle_batch_mean"] if batch_mean else expected["angle_pooled"]
    official = {"mean_deg": 2e-2, "median_deg": 2e-2}  # its mask drops (a, -a, 0), its median is the lower of two
    for name, key in ANGLES.items():
        tolerance = official.get(name, 2e-2) if batch_mean else 1e-5
        assert found[name] == pytest.approx(angles[key], rel=tolerance), name
    assert losses == pytest.approx(expected["one_minus_cos_per_batch"], rel=1e-5)


def test_attributes() -> None:
    data = oracle("metrics_celeba")
    logits, labels = (here(tensor(data["arrays"][name])) for name in ("logits", "labels"))
    scores = F1Scores([str(m) for m in range(40)])
    losses = []
    for some, known in zip(logits.split(data["batch_sizes"]), labels.split(data["batch_sizes"]), strict=True):
        scores.update(some, known)
        losses.append(binary_cross_entropies(some, known))
    assert list(scores.compute().values()) == pytest.approx(data["f1_pooled_float64"], rel=1e-12)
    flat = [loss.tolist() for loss in losses]
    expected = data["bce_per_batch_stable_float64"]
    found = flat if isinstance(expected[0], list) else [float(loss.mean()) for loss in losses]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-5, atol=1e-6)
