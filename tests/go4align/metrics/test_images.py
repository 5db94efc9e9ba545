"""Metrics of images against scikit-learn and plain formulas over all pixels at once."""

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score
from torch.nn import functional as F

from go4align.metrics.classification import F1Scores
from go4align.metrics.depth import DepthErrors
from go4align.metrics.normals import AngleErrors, angles_deg
from go4align.metrics.segmentation import VOID, ConfusionMatrix

SIZES = (2, 2, 1)
"""Of the batches: the last one is smaller."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_segmentation_counts_all_labelled_pixels_and_leaves_absent_classes_out() -> None:
    scores = torch.randn(5, 6, 4, 8)
    scores[:, 5] = -99.0  # neither predicted nor labelled
    labels = torch.randint(-1, 5, (5, 4, 8))
    matrix = ConfusionMatrix(6)
    for part, target in zip(scores.split(SIZES), labels.split(SIZES), strict=True):
        matrix.update(part, target)
    valid = labels != VOID
    target, found = labels[valid].numpy(), scores.argmax(1)[valid].numpy()
    measured = matrix.compute()
    assert measured["miou"] == pytest.approx(jaccard_score(target, found, average="macro"))
    assert measured["pixel_acc"] == pytest.approx(accuracy_score(target, found))


@pytest.mark.parametrize("batch_mean", [False, True])
def test_depth_errors(batch_mean: bool) -> None:
    depth = torch.rand(5, 1, 4, 8) * (torch.rand(5, 1, 4, 8) > 0.3)
    depth[4] = 0.0  # the last batch has no valid pixel
    predicted = torch.rand_like(depth)
    errors = DepthErrors(batch_mean=batch_mean)
    parts = list(zip(predicted.split(SIZES), depth.split(SIZES), strict=True))
    for found, target in parts:
        errors.update(found, target)
    compared = parts[:2] if batch_mean else [(predicted, depth)]
    differences = [((found - target).abs()[target > 0], target[target > 0]) for found, target in compared]
    absolute = [float(error.mean()) for error, _ in differences]
    relative = [float((error / target).mean()) for error, target in differences]
    assert errors.compute()["abs_err"] == pytest.approx(sum(absolute) / len(absolute), rel=1e-5)
    assert errors.compute()["rel_err"] == pytest.approx(sum(relative) / len(relative), rel=1e-5)


def test_angles_are_those_of_all_valid_pixels_and_accurate_near_zero() -> None:
    normals = F.normalize(torch.randn(5, 3, 4, 8), dim=1)
    normals[0, :, 0, 0] = torch.tensor([0.6, -0.6, 0.0])  # its components sum to zero, and yet it is one
    normals[1, :, 0] = 0.0
    predicted = normals + 0.3 * torch.randn_like(normals)
    errors = AngleErrors()
    for found, target in zip(predicted.split(SIZES), normals.split(SIZES), strict=True):
        errors.update(found, target)
    valid = normals.norm(dim=1) > 0
    cosines = F.cosine_similarity(predicted.double(), normals.double(), dim=1)[valid].clamp(-1, 1)
    angles = torch.rad2deg(torch.acos(cosines))
    measured = errors.compute()
    assert measured["mean_deg"] == pytest.approx(float(angles.mean()), rel=1e-5)
    assert measured["median_deg"] == pytest.approx(float(angles.quantile(0.5)), abs=2e-4)
    assert measured["within_11.25"] == pytest.approx(float((angles < 11.25).double().mean()))
    tilted = torch.tensor([math.sin(1e-4), 0.0, math.cos(1e-4)])[None, :, None, None]
    upright = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None]
    assert float(angles_deg(tilted, upright)) == pytest.approx(math.degrees(1e-4), rel=1e-5)


def test_f1_scores_over_known_labels() -> None:
    logits = torch.randn(50, 4)
    logits[0, 0] = 0.0  # a probability of exactly one half is a no
    labels = torch.randint(0, 2, (50, 4))
    labels[:, 3] = 0
    logits[:, 3] = -1.0
    labelled = torch.rand(50, 4) > 0.2
    scores = F1Scores("abcd")
    for begin in range(0, 50, 16):
        part = slice(begin, begin + 16)
        scores.update(logits[part], labels[part], labelled[part])
    expected = {
        f"{name}/f1": f1_score(labels[known, m], logits[known, m] > 0, zero_division=0)
        for m, (name, known) in enumerate(zip("abcd", labelled.T, strict=True))
    }
    assert scores.compute() == pytest.approx(expected)
