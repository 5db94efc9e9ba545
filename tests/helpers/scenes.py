"""Generated scenes from their arrays alone: points in space, and what a pixel's colour tells of a target."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

Numbers = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


def points(depth: Numbers, focal: float) -> Numbers:
    """[n, H, W, 3] in the camera's frame, of depth along z [n, H, W]; `focal` in units of the picture's height."""
    height, width = depth.shape[1:]
    x = (np.arange(width) + 0.5 - width / 2) / (focal * height)
    y = (np.arange(height) + 0.5 - height / 2) / (focal * height)
    return np.stack([depth * x, depth * y[:, None], depth], -1)


def fitted_normal(cloud: Numbers) -> tuple[Numbers, float]:
    """Of the plane through points [k, 3], towards the camera; and how well they tell it, the middle singular value's
    share of the largest."""
    _, spread, axes = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)
    normal = axes[2]
    return -np.sign(normal @ cloud.mean(0)) * normal, float(spread[1] / spread[0])


def angle_deg(one: Numbers, other: Numbers) -> Numbers:
    """Between vectors [..., 3]."""
    cross = np.linalg.norm(np.cross(one, other), axis=-1)
    return np.degrees(np.arctan2(cross, (one * other).sum(-1)))


def colour(scenes: Arrays) -> Numbers:
    """[pixels, 3]: a pixel's own colour, and nothing else."""
    return scenes["image"].reshape(-1, 3) / 255


def surroundings(scenes: Arrays) -> Numbers:
    """[pixels, 29]: colours at nine places around a pixel, and where in the picture it is."""
    n, height, width, _ = scenes["image"].shape
    padded = np.pad(scenes["image"] / 255, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    around = [padded[:, i : i + height, j : j + width].reshape(-1, 3) for i in (0, 2, 4) for j in (0, 2, 4)]
    place = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) / height
    return np.concatenate([*around, np.tile(place.reshape(-1, 2), (n, 1))], 1)


def predicted(train: tuple[Numbers, Numbers], features: Numbers, *, classes: bool = False) -> Numbers:
    """What a random forest says of pixels: a good regressor, or classifier, of a few features."""
    forest = RandomForestClassifier if classes else RandomForestRegressor
    found: Numbers = forest(20, min_samples_leaf=8, random_state=0).fit(*train).predict(features)
    return found


def chosen(valid: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """Numbers of n pixels that are valid."""
    return np.random.default_rng(0).choice(np.flatnonzero(valid), n, replace=False)
